"""What several test files share. Nothing here needs a network or a data set, and nothing
imports Keras before a test asks for it, so that the tests of the tool stay light."""
import contextlib
import os
import shutil
import struct
import zlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest

from lowlight import network

os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "CNN.ipynb"
PLACES = (os.environ.get("LOL"), ROOT / "dataset/lol", ROOT.parent / "shared/lol")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LOL = next((Path(place) for place in PLACES if place and Path(place).is_dir()), None)

# No progress is ever enough: the rate falls after epoch 3, the run stops after epoch 4.
IMPATIENT = {"epochs": 8, "min_progress": 9.0, "patience_lr": 2, "patience": 3}

load_once = cache(network.load)         # the tests of one process share what it returns


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The embedded sample set, written once: list[Pair]."""
    from lowlight import cnn
    return cnn.write_sample_pairs(tmp_path_factory.mktemp("sample"), seed=0)


@pytest.fixture(scope="session")
def small_pairs(tmp_path_factory):
    """Six pairs of real photos, cut small, some upright: list[Pair]."""
    from lowlight import cnn
    root, rng = tmp_path_factory.mktemp("small"), np.random.default_rng(0)
    for number, path in enumerate(cnn.sample_photos()[:6]):
        photo = cnn.load_photo(path)[100:172, 100:196]
        normal = photo.transpose(1, 0, 2) if number % 2 else photo
        write_photo(root / f"high/{number}.png", normal)
        write_photo(root / f"low/{number}.png",
                    cnn.underexpose(normal, rng, 3, 1e-4))
    return cnn.find_pairs(root)


@pytest.fixture
def random_model():
    """random_model(widths, blocks, spread): every weight is random, no branch silent."""
    import keras
    from lowlight import cnn

    def build(widths=(8, 8), blocks=1, spread=1.0):
        keras.utils.set_random_seed(0)
        model, rng = cnn.build_model(widths, blocks), np.random.default_rng(0)
        for variable in model.trainable_variables:
            scale = spread / np.sqrt(np.prod(variable.shape[:-1]))
            variable.assign(variable + rng.normal(0, scale, variable.shape))
        return model
    return build


def unsmoothed(model):
    """The model, no pixel of whose photo moves towards its neighbours: the identity, as
    long as nothing is trained. As built, the weights of the means are small, but not 0."""
    head = model.get_layer("head")
    bias = np.zeros(head.bias.shape)
    bias[4:13] = -1e3
    head.bias.assign(bias)
    return model


def write_photo(path, photo):
    """Write a uint8 photo (H, W, 3), and the folders that it needs."""
    from PIL import Image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path)
    return path


def huge_png():
    """The few bytes of a PNG that claims 50000 x 50000 pixels of 16 bits."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))
    header = struct.pack(">IIBBBBB", 50000, 50000, 16, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
            + chunk(b"IEND", b""))


@dataclass
class Run:
    """What a training has left."""
    folder: Path
    history: np.ndarray
    logged: dict            # what `fit` itself has logged
    snapshots: object
    validation: list

    @cached_property
    def model(self):
        """The best one."""
        from lowlight import cnn
        return cnn.load_model(self.folder / "model.keras")


def hooked(hook):
    """A callback that calls `hook(model, epoch, batch)`: as each epoch begins (batch None,
    before the state is saved) and after each batch."""
    import keras

    class Hooked(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
            hook(self.model, epoch, None)

        def on_train_batch_end(self, batch, logs=None):
            hook(self.model, self.epoch, batch)
    return Hooked()


def small_run(folder, pairs, hook=None, scope=contextlib.nullcontext, resume=False,
              crop=32, batch_size=2, epochs=4, loss="mse", rate=1e-3, patience_lr=2,
              patience=4, min_progress=1e-4, precision="float32", copies=1,
              batch_slice=slice(None), workers=1):
    """Train a tiny network as the notebook does, four pairs and the rest for validation."""
    import keras
    from lowlight import cnn
    folder, train, validation = Path(folder), pairs[:4], pairs[4:]
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    batches = cnn.PairSequence(cnn.crop_sources(train), crop, batch_size, steps=2,
                               batch_slice=batch_slice, workers=workers)
    snapshots = cnn.Snapshots([validation[0], validation[-1]], folder / "snapshots")
    callbacks = [snapshots, *([hooked(hook)] if hook else [])]
    slow_down = keras.callbacks.ReduceLROnPlateau(
        factor=0.5, patience=patience_lr, min_delta=min_progress)
    settings = [[pair.name for pair in train], crop, loss]
    try:
        with scope():
            model = cnn.build_model((8,))
            cnn.compile_model(model, loss, rate, average=3)
            if keras.backend.backend() == "tensorflow" and scope is contextlib.nullcontext:
                model.run_eagerly = True        # tracing takes longer than such a training
            cnn.train(model, batches, validation, folder, epochs, slow_down, patience,
                      min_progress, copies, callbacks, settings, resume)
    finally:
        keras.config.set_dtype_policy("float32")
    return Run(folder, cnn.read_history(folder / "history.csv"),
               model.history.history, snapshots, validation)


@pytest.fixture(scope="session")
def run_and_killed(tmp_path_factory, small_pairs):
    """A run to its end, and a copy of its folder as a kill would have left it, when the
    history had a row more than the saved state."""
    from lowlight import cnn
    folder, killed = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("killed")

    def copy(model, epoch, batch):
        if (epoch, batch) == (3, None):
            shutil.copytree(folder, killed, dirs_exist_ok=True)
    run = small_run(folder, small_pairs, copy, **IMPATIENT)
    assert len(cnn.read_history(killed / "history.csv")) == 3
    return run, killed


@pytest.fixture
def run(run_and_killed):
    return run_and_killed[0]


@pytest.fixture
def killed(run_and_killed, tmp_path):
    """The folder of a killed run, to go on in."""
    return shutil.copytree(run_and_killed[1], tmp_path / "killed")


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright; it asks nothing of its maker."""
    from playwright.sync_api import sync_playwright
    with sync_playwright() as program:
        browser = program.chromium.launch(executable_path=CHROMIUM, args=[
            "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
            "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"])
        yield browser
        browser.close()
