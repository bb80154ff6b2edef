"""Fixtures that several test files share. Nothing here needs a network or a data set."""
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")

import lowlight  # noqa: E402  (starts Keras; after the environment is set)
import keras  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
LOL = Path(os.environ.get("LOL", ROOT / "dataset" / "lol"))     # the real pairs, if there


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The embedded sample set, written once: list[Pair]."""
    return lowlight.write_sample_pairs(tmp_path_factory.mktemp("sample"), seed=0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def write_pair(tmp_path, rng):
    """write_pair("low/a.png", "high/a.png", size=(H, W)): two random photos on disk."""
    def write(low, normal, size=(20, 30), root=tmp_path):
        for name in (low, normal):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            lowlight.save_photo(path, rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        return root
    return write


@pytest.fixture
def random_model():
    """A small model whose every weight is random, so that no branch is silent."""
    def build(widths=(8, 8, 16), blocks=1, seed=0):
        keras.utils.set_random_seed(seed)
        model = lowlight.build_model(widths, blocks)
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            spread = 0.15 / np.sqrt(np.prod(variable.shape[:-1]))
            variable.assign(variable + rng.normal(0, spread, variable.shape))
        last = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
        last.bias.assign(last.bias + 0.5)               # a grey photo rather than a black one
        return model
    return build
