"""The same code on JAX: trains, validates, saves, and agrees with TensorFlow."""
import os
import subprocess
import sys

import numpy as np
import pytest

import lowlight as ll
from conftest import ROOT

pytest.importorskip("jax", reason="needs jax, the second backend")

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
"""


def test_jax_trains_and_agrees(tmp_path, sample, random_model):
    model = random_model()
    model.save(tmp_path / "model.keras")
    for pair in sample[:8]:
        for path in pair[1:]:
            copy = tmp_path / "sample" / path.parent.name / path.name
            ll.save_photo(copy, ll.load_photo(path)[:100, :150])
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], cwd=ROOT,
                          env={**os.environ, "KERAS_BACKEND": "jax"},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    low = ll.load_photo(tmp_path / "sample/low_light" / sample[0].low.name)
    assert np.abs(np.load(tmp_path / "jax.npy") - ll.predict(model, low)).max() < 1 / 255 / 10
