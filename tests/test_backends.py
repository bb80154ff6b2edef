"""The same code on JAX, and on several devices at once."""
import os
import subprocess
import sys

import numpy as np
import pytest

import lowlight as ll
from conftest import ROOT

PROGRAM = """
import sys
from pathlib import Path
import keras, numpy as np
sys.path.insert(0, "tests")
import lowlight as ll
from test_training import small_run
assert keras.backend.backend() == "jax" and "on jax" in ll.describe_machine()
folder = Path(sys.argv[1])
pairs = ll.find_pairs(folder / "sample")
model = ll.load_model(folder / "model.keras")
np.save(folder / "jax.npy", ll.predict(model, ll.load_photo(pairs[0].low), tile=64))
_, curves, history = small_run(folder / "run", pairs, epochs=2)
assert history.history["val_loss"] == [row["val_loss"] for row in curves.rows]
assert curves.rows[1]["loss"] < curves.rows[0]["loss"]
# of five steps of warm-up the first epoch has three, so the second reaches the full rate
assert abs(curves.rows[0]["learning_rate"] - 0.6e-3) < 1e-8
assert abs(curves.rows[1]["learning_rate"] - 1e-3) < 1e-8
"""


def small_copies(folder, sample):
    """The first pairs of the sample set, cut small, in `folder`/sample."""
    for pair in sample[:8]:
        for path in pair[1:]:
            copy = folder / "sample" / path.parent.name / path.name
            ll.save_photo(copy, ll.load_photo(path)[:100, :150])


def test_jax_trains_and_agrees(tmp_path, sample, random_model):
    pytest.importorskip("jax", reason="needs jax, the second backend")
    model = random_model()
    model.save(tmp_path / "model.keras")
    small_copies(tmp_path, sample)
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], cwd=ROOT,
                          env={**os.environ, "KERAS_BACKEND": "jax"},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    low = ll.load_photo(tmp_path / "sample/low_light" / sample[0].low.name)
    assert np.abs(np.load(tmp_path / "jax.npy") - ll.predict(model, low)).max() < 1 / 255 / 10


MIRRORED = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import lowlight as ll
from test_training import small_run
folder = Path(sys.argv[1])
pairs = ll.find_pairs(folder / "sample")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
small_run(folder, pairs, stop_after=2, scope=strategy.scope)
model, curves, _ = small_run(folder, pairs, resume=True, scope=strategy.scope)
assert [row["epoch"] for row in curves.rows] == [1, 2, 3, 4]
assert curves.rows[3]["loss"] < curves.rows[0]["loss"]
photo = ll.load_photo(pairs[0].low)
assert ll.enhance(model, photo).shape == photo.shape
"""


def test_several_devices_train_and_resume(tmp_path, sample):
    """MirroredStrategy over two logical CPUs stands in for two GPUs."""
    small_copies(tmp_path, sample)
    done = subprocess.run([sys.executable, "-c", MIRRORED, tmp_path], cwd=ROOT,
                          env={**os.environ, "KERAS_BACKEND": "tensorflow"},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
