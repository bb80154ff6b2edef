"""The same cells on other backends, on several devices and on several machines at once.

All go on from the state that one device on TensorFlow has saved after an epoch, and must
show its curve: so they restore, train and save alike.
"""
import os
import shutil
import signal
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
kind, folder, root = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.modules["tensorflow"] = None        # cannot be imported: nothing may need it
if kind == "two devices":       # before the backend starts
    import tensorflow as tf
    cpu, = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import contextlib
import keras, numpy as np
from conftest import small_run
from lowlight import cnn, machines
from test_backends import OPTIONS, one_size_last, without_clipping

place, scope, options = machines.Place(0, 1, 1), contextlib.nullcontext, dict(OPTIONS)
if kind == "two devices":
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    scope, place = strategy.scope, machines.Place(0, 1, 2)
    keras.optimizers.Adam = partial(without_clipping, keras.optimizers.Adam)
if kind == "machines":
    place = machines.join()
    folder = folder / str(place.number)
    options["epochs"] += 1      # in the additional one a machine is lost
elif kind != "two devices":
    model = cnn.load_model(root.parent / "model.keras")
    photo = cnn.load_photo(cnn.find_pairs(root)[0].low)
    np.save(folder / "photo.npy", cnn.brighten(model, photo))

def hook(model, epoch, batch):
    if (epoch, batch) == (OPTIONS["epochs"], 0) and place.number:
        os.kill(os.getpid(), signal.SIGKILL)

small_run(folder, one_size_last(cnn.find_pairs(root)), hook, scope=scope, resume=True,
          copies=place.devices, batch_slice=slice(place.number, None, place.count),
          **options)
"""
OPTIONS = {"epochs": 3, "batch_size": 4, "loss": "l1_ssim"}


def one_size_last(pairs):
    """The small pairs, the two last of one size: JAX compiles anew for each."""
    return pairs[1::2] + pairs[::2]


def without_clipping(adam, rate, global_clipnorm, **options):
    """Adam as it is under MirroredStrategy, where each device clips its own share only:
    the gradients of these tests are below that bound, those of the whole batch are not."""
    return adam(rate, **options)


def start(kind, folder, pairs, **environment):
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
        [sys.executable, "-c", PROGRAM, kind, folder, root], cwd=ROOT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | environment)


def run_to_end(kind, folder, pairs):
    """Run PROGRAM, which must end well."""
    process = start(kind, folder, pairs)
    error = process.communicate()[1]
    assert process.returncode == 0, error[-3000:]


@pytest.fixture(scope="module")
def one(tmp_path_factory, small_pairs):
    """The folder of a run on one device; in it `begun`, as the run was in its second epoch.
    Beside the photos a model, and in the folder what it makes of a photo."""
    import keras
    folder = tmp_path_factory.mktemp("one")
    keras.utils.set_random_seed(0)
    model = cnn.build_model((8,))
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.1, weight.shape)
                       for weight in model.get_weights()])
    model.save(small_pairs[0].low.parent.parent.parent / "model.keras")
    np.save(folder / "photo.npy", cnn.brighten(model, cnn.load_photo(small_pairs[0].low)))

    def keep(model, epoch, batch):
        if (epoch, batch) == (1, 0):
            shutil.copytree(folder, folder / "begun")
    small_run(folder, one_size_last(small_pairs), keep, **OPTIONS)
    return folder


def check_same(folder, one, state="state.npz"):
    """Raise AssertionError unless two runs show one curve and saved one state."""
    curve, expected = (cnn.read_history(path / "history.csv")["val_loss"]
                       for path in (folder, one))
    assert len(curve) == 3 and curve[2] < curve[0]
    assert curve == pytest.approx(expected, rel=1e-3)
    with np.load(folder / state) as saved, np.load(one / "state.npz") as wanted:
        for name in set(wanted.files) - {"text"}:
            assert saved[name] == pytest.approx(wanted[name], abs=1e-4), name


@pytest.mark.parametrize("kind", ["jax", "torch"])
def test_another_backend_goes_on_from_the_state_of_tensorflow(tmp_path, small_pairs, one, kind):
    pytest.importorskip(kind, reason=f"needs {kind}")
    folder = shutil.copytree(one / "begun", tmp_path / "run")
    run_to_end(kind, folder, small_pairs)
    photo, expected = (np.load(path / "photo.npy").astype(int) for path in (folder, one))
    assert np.abs(photo - expected).max() <= 1
    check_same(folder, one)


def test_two_devices_show_the_curve_of_one(tmp_path, small_pairs, one):
    """Two logical CPUs under MirroredStrategy stand in for two GPUs."""
    import keras
    with mock.patch("keras.optimizers.Adam", partial(without_clipping, keras.optimizers.Adam)):
        small_run(shutil.copytree(one / "begun", tmp_path / "one"),
                  one_size_last(small_pairs), resume=True, **OPTIONS)
    folder = shutil.copytree(one / "begun", tmp_path / "two")
    run_to_end("two devices", folder, small_pairs)
    check_same(folder, tmp_path / "one")


def two_machines(folder, pairs):
    """Processes that speak to each other over loopback, as machines would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [start("machines", folder, pairs, KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
                  KERAS_DISTRIBUTION_NUM_PROCESSES="2",
                  KERAS_DISTRIBUTION_PROCESS_ID=str(number), JAX_PLATFORMS="cpu")
            for number in range(2)]


def test_several_machines_train_as_one_until_one_is_lost(tmp_path, small_pairs, one):
    """They show the curve of a single process, with equal weights. When one is lost, the
    other fails, and has kept the state from which both can go on."""
    pytest.importorskip("jax", reason="needs jax")
    folders = [shutil.copytree(one / "begun", tmp_path / str(number)) for number in range(2)]
    first, lost = two_machines(tmp_path, small_pairs)
    errors = []
    for line in first.stderr:
        errors.append(line)
        if "all-reduce failed" in line:
            break
    else:
        pytest.fail("".join(errors)[-3000:])
    first.kill()                    # it would wait for the other one
    first.wait()
    assert lost.wait() == -signal.SIGKILL
    for folder in folders:
        check_same(folder, one, "state-before.npz")
    states = [dict(np.load(folder / "state.npz")) for folder in folders]
    for name in states[0]:
        assert np.array_equal(states[0][name], states[1][name]), name
