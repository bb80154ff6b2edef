"""The same cells on other backends, on several devices and on several machines at once."""
import os
import socket
import subprocess
import sys
from functools import partial
from unittest import mock

import numpy as np
import pytest

from conftest import ROOT, small_run
from lowlight import cnn

PROGRAM = """
import os, signal, sys
from functools import partial
from pathlib import Path
sys.path[:0] = ["tests", "tests/slow"]
kind, folder, root, cut = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
lost = "lost" in sys.argv
if lost:                        # found out in 100 s as JAX comes, which is too long here,
    import jax                  # but 10 s can be too short on a busy machine
    jax.distributed.initialize = partial(
        jax.distributed.initialize, heartbeat_timeout_seconds=10)
if kind == "two devices":       # before the backend starts
    import tensorflow as tf
    cpu, = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import contextlib
import keras, numpy as np
from conftest import small_run
from lowlight import cnn, machines
from test_backends import one_size_last, without_clipping

backend = {"machines": "jax", "two devices": "tensorflow"}.get(kind, kind)
assert keras.backend.backend() == backend
place, scope = machines.Place(0, 1, 1), contextlib.nullcontext
if kind == "two devices":
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    scope, place = strategy.scope, machines.Place(0, 1, 2)
    keras.optimizers.Adam = partial(without_clipping, keras.optimizers.Adam)
if kind == "machines":
    place = machines.join()
    folder = folder / str(place.number)
    folder.mkdir(exist_ok=True)
pairs = one_size_last(cnn.find_pairs(root))
if kind != "machines":
    model = cnn.load_model(Path(root).parent / "model.keras")
    np.save(folder / "photo.npy", cnn.brighten(model, cnn.load_photo(pairs[0].low)))

def hook(model, epoch, batch):
    if (epoch, batch) == (2, None) and cut:
        raise SystemExit
    if (epoch, batch) == (2, 1) and lost and place.number:
        os.kill(os.getpid(), signal.SIGKILL)

options = {"batch_size": 4, "loss": "l1_ssim", "scope": scope, "copies": place.devices,
           "batch_slice": slice(place.number, None, place.count)}
if cut:
    try:
        small_run(folder / "run", pairs, hook, **options)
    except SystemExit:
        cut = 0
run = small_run(folder / "run", pairs, hook, resume=True, **options)
np.savez(folder / "run.npz", *run.model.get_weights(), val_loss=run.history["val_loss"])
"""


def one_size_last(pairs):
    """The small pairs, the two last of one size: JAX compiles anew for each."""
    return pairs[1::2] + pairs[::2]


def without_clipping(adam, rate, global_clipnorm, **options):
    """Adam as it is under MirroredStrategy, where each device clips its own share only:
    the gradients of these tests are below that bound, those of the whole batch are not."""
    return adam(rate, **options)


def start(kind, folder, pairs, *options, cut=0, **environment):
    """The process that runs PROGRAM."""
    backend = {"jax": "jax", "machines": "jax", "torch": "torch"}.get(kind, "tensorflow")
    root = pairs[0].low.parent.parent
    # On JAX compiling takes longest: once for all processes, and hardly optimised.
    environment |= {"KERAS_BACKEND": backend,
                    "JAX_COMPILATION_CACHE_DIR": str(root.parent / "compiled"),
                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "XLA_FLAGS": "--xla_backend_optimization_level=0 "
                                 "--xla_llvm_disable_expensive_passes=true"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, folder, root, str(cut), *options], cwd=ROOT,
        text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | environment)


@pytest.fixture(scope="module")
def one(tmp_path_factory, small_pairs):
    """The validation loss of each epoch on one device, and a model with its photo."""
    import keras
    keras.utils.set_random_seed(0)
    model = cnn.build_model((8,))
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.1, weight.shape)
                       for weight in model.get_weights()])
    model.save(small_pairs[0].low.parent.parent.parent / "model.keras")
    with mock.patch("keras.optimizers.Adam", partial(without_clipping, keras.optimizers.Adam)):
        run = small_run(tmp_path_factory.mktemp("one"), one_size_last(small_pairs),
                        batch_size=4, loss="l1_ssim")
    photo = cnn.load_photo(one_size_last(small_pairs)[0].low)
    return run.history["val_loss"], cnn.brighten(model, photo)


def run_to_end(kind, folder, pairs):
    """The folder of a run on another backend or on two devices, cut off and resumed."""
    process = start(kind, folder, pairs, cut=1)
    error = process.communicate()[1]
    assert process.returncode == 0, error[-3000:]
    return folder


@pytest.fixture(scope="module")
def jax_folder(tmp_path_factory, small_pairs, one):
    """The folder of a run on JAX in one process."""
    pytest.importorskip("jax", reason="needs jax")
    return run_to_end("jax", tmp_path_factory.mktemp("jax"), small_pairs)


def check_run(folder, photo):
    """The validation losses of a run that has learnt; the photo must be `photo`."""
    assert np.abs(np.load(folder / "photo.npy").astype(int) - photo).max() <= 1
    curve = np.load(folder / "run.npz")["val_loss"]
    assert len(curve) == 4
    assert curve[3] < curve[0]
    return curve


def test_it_trains_and_resumes_on_jax(jax_folder, one):
    check_run(jax_folder, one[1])           # other backends draw other first weights


def test_it_trains_and_resumes_on_pytorch(tmp_path, small_pairs, one):
    pytest.importorskip("torch", reason="needs torch")
    check_run(run_to_end("torch", tmp_path, small_pairs), one[1])


def test_two_devices_show_the_curve_of_one(tmp_path, small_pairs, one):
    """Two logical CPUs under MirroredStrategy stand in for two GPUs."""
    curve = check_run(run_to_end("two devices", tmp_path, small_pairs), one[1])
    assert curve == pytest.approx(one[0], rel=1e-3)


def machines(count, *arguments, **options):
    """Processes that speak to each other over loopback, as machines would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [start("machines", *arguments, **options, KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
                  KERAS_DISTRIBUTION_NUM_PROCESSES=str(count),
                  KERAS_DISTRIBUTION_PROCESS_ID=str(number), JAX_PLATFORMS="cpu")
            for number in range(count)]


def finished(folder, processes):
    """What each of the processes has left, after all ended well."""
    for process in processes:
        error = process.communicate()[1]
        assert process.returncode == 0, error[-3000:]
    return [np.load(folder / f"{number}/run.npz") for number in range(len(processes))]


def test_several_machines_train_as_one(tmp_path, small_pairs, jax_folder, count=2):
    """One is lost on the way: the other ends with an error. Started again, they go on from
    the saved state, end with equal weights, and show the curve of a single process."""
    first, *lost = machines(count, tmp_path, small_pairs, "lost")
    for process in lost:
        assert process.wait() < 0
    error = first.communicate()[1]                  # whoever notices first speaks:
    assert "all-reduce failed" in error or "another task died" in error, error[-3000:]
    assert first.returncode
    runs = finished(tmp_path, machines(count, tmp_path, small_pairs))
    curve = np.load(jax_folder / "run.npz")["val_loss"]
    for run in runs:
        assert run["val_loss"] == pytest.approx(curve, rel=1e-3)
        for name in run.files:
            assert np.array_equal(run[name], runs[0][name])
