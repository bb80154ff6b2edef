"""What several test files share. Nothing here needs a network or a data set, and nothing
imports Keras before a test asks for it, so that the tests of the tool stay light."""
import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "CNN.ipynb"
PLACES = (os.environ.get("LOL"), ROOT / "dataset/lol", ROOT.parent / "shared/lol")
LOL = next((Path(place) for place in PLACES if place and Path(place).is_dir()), None)


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


def code_cells():
    """[(tags, source), ...] of the code cells of the notebook."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [(cell["metadata"].get("tags", []), "".join(cell["source"]))
            for cell in cells if cell["cell_type"] == "code"]


def small_run(folder, pairs, hook=None, scope=contextlib.nullcontext, **parameters):
    """Run the notebook's own training cells on a tiny network; returns all its names.

    `hook(model, epoch, batch)` is called as each epoch begins (batch None, before the
    state is saved) and after each batch; such a run draws no curves. `parameters`: as in
    the Parameters cell, `gpus` and `copies`. TensorFlow does not compile the step, which
    takes longer than this training.
    """
    import keras
    from lowlight import cnn

    class Hooked(cnn.LiveCurves):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
            hook(self.model, epoch, None)

        def on_train_batch_end(self, batch, logs=None):
            hook(self.model, self.epoch, batch)

        def on_epoch_end(self, epoch, logs=None):
            pass

    cells, names = code_cells(), dict(vars(cnn))
    if hook:
        names["LiveCurves"] = Hooked
    exec(next(source for tags, source in cells if "parameters" in tags), names)
    names |= {"CROP": 32, "BATCH_SIZE": 2, "STEPS_PER_EPOCH": 3, "EPOCHS": 4,
              "LEARNING_RATE": 1e-3, "WIDTHS": (8,), "gpus": (), "copies": 1,
              "process": 0, "processes": 1, **parameters, "OUTPUT": Path(folder),
              "embedded": False, "scope": scope, "train": pairs[:4], "validation": pairs[4:],
              "clean": ([], [], [])}
    Path(folder).mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(names["SEED"])
    keras.config.set_dtype_policy(parameters.get("PRECISION", "float32"))
    with scope():
        model = names["model"] = cnn.build_model(names["WIDTHS"])
    if keras.backend.backend() == "tensorflow":
        compiled = model.compile
        model.compile = lambda **options: compiled(**options | {"jit_compile": False})
    sources = [source for _, source in cells]
    first = next(n for n, source in enumerate(sources) if "model.compile(" in source)
    for source in sources[first:]:
        if source.startswith("#| export"):
            return names
        exec(source, names)
