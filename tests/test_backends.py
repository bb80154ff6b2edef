"""The same cells on JAX, and on several devices at once."""
import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT
from lowlight import cnn

PROGRAM = """
import contextlib, sys
from pathlib import Path
sys.path.insert(0, "tests")
scope, gpus = contextlib.nullcontext, ()
kind, folder = sys.argv[1], Path(sys.argv[2])
if kind == "two devices":
    import tensorflow as tf
    cpu, = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    scope, gpus = strategy.scope, ("CPU:0", "CPU:1")
import keras, numpy as np
from conftest import small_run
from lowlight import cnn
assert keras.backend.backend() == ("jax" if kind == "jax" else "tensorflow")
pairs = cnn.find_pairs(sys.argv[3])
model = cnn.load_model(folder / "model.keras")
np.save(folder / "photo.npy", cnn.brighten(model, cnn.load_photo(pairs[0].low)))

def hook(model, epoch, batch):
    if epoch == 2 and not resumed:
        raise SystemExit

resumed = False
try:
    small_run(folder / "run", pairs, hook, scope, gpus=gpus)
except SystemExit:
    resumed = True
run = small_run(folder / "run", pairs, hook, scope, gpus=gpus, RESUME=True)
assert resumed and run["history"]["epoch"].tolist() == [1, 2, 3, 4]
assert run["history"]["val_loss"][3] < run["history"]["val_loss"][0]
"""


@pytest.mark.parametrize("kind", ["jax", "two devices"])
def test_it_trains_resumes_and_agrees(tmp_path, small_pairs, random_model, kind):
    """Two logical CPUs under MirroredStrategy stand in for two GPUs."""
    if kind == "jax":
        pytest.importorskip("jax", reason="needs jax, the second backend")
    model, photo = random_model(), cnn.load_photo(small_pairs[0].low)
    model.save(tmp_path / "model.keras")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, tmp_path, small_pairs[0].low.parent.parent],
        cwd=ROOT, capture_output=True, text=True, env={
            **os.environ, "KERAS_BACKEND": "jax" if kind == "jax" else "tensorflow"})
    assert done.returncode == 0, done.stderr[-3000:]
    same = np.load(tmp_path / "photo.npy").astype(int) - cnn.brighten(model, photo)
    assert np.abs(same).max() <= 1
