"""A weights file becomes a function (pixels, thumbnail, window) -> pixels.

An `.onnx` file runs on ONNX Runtime; a `.keras` file, as CNN.ipynb trains it, on Keras.
"""
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Callable

import numpy as np

RELEASED = Path(__file__).parent / "weights" / "lowlight.onnx"
GPU_PROVIDERS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "DmlExecutionProvider")
INPUTS = {"photo": 3, "thumbnail": 3, "window": 4}      # name: length of the last axis


@dataclass(frozen=True)
class Network:
    """A function of a part of a photo, of the photo's thumbnail, and of where the part lies.

    `pixels`: float32 (H, W, 3) in [0, 1]; `thumbnail`: float32 (64, 64, 3); `window`: top,
    left, bottom and right of the part as shares of the photo. It returns float32 (H, W, 3),
    not clipped. What tiles need to be exact: `multiple`, of which the sides of a part must
    be, and `radius`, how many pixels away the photo can still change an output pixel.
    `path`: the file it was loaded from, from which another process loads it anew.
    """
    run: Callable
    multiple: int
    radius: int
    path: Path | None = None

    def __call__(self, pixels, thumbnail, window):
        return self.run(pixels[None], thumbnail[None], np.float32([window]))[0]

    def __reduce__(self):
        if self.path is None:
            raise TypeError("only a Network that was loaded from a file can be pickled")
        return load, (self.path,)


def load(path=None):
    """The Network in the file `path` (.onnx or .keras); without one, the released weights.

    Raises ValueError, naming the file and the remedy, for anything else.
    """
    path = RELEASED if path is None else Path(path)
    if path.suffix == ".keras":
        return load_keras(path)
    if path.suffix != ".onnx":
        raise ValueError(f"{path}: weights are .onnx or .keras files")
    return load_onnx(path)


def load_onnx(path):
    """The Network in an .onnx file written by `lowlight.export`, on the best provider."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")     # else: files in ~/.cache
    import onnxruntime
    found = onnxruntime.get_available_providers()
    providers = [name for name in GPU_PROVIDERS if name in found] + ["CPUExecutionProvider"]

    def start_session(height=None, width=None):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4          # errors are raised, so not printed too
        options.enable_mem_pattern = False      # 1.4 times the memory, no faster
        if height:              # a known size lets it join convolutions and additions
            for name, length in (("batch", 1), ("height", height), ("width", width)):
                options.add_free_dimension_override_by_name(name, length)
        # From memory, so that the file cannot name other files to read. Its own fallback
        # to the processor, where a GPU fails, would print.
        start = partial(onnxruntime.InferenceSession, content, options, enable_fallback=0)
        try:
            return start(providers=providers)
        except Exception:
            return start(providers=["CPUExecutionProvider"])

    try:
        content = path.read_bytes()
        session = start_session()
        channels = {one.name: one.shape[-1] for one in session.get_inputs()}
        metadata = session.get_modelmeta().custom_metadata_map
        sizes = [int(metadata.get(name, -1)) for name in ("multiple", "radius")]
    except Exception as error:                  # it raises types of its own for each fault
        raise ValueError(f"{path}: no ONNX network that can be loaded "
                         f"({type(error).__name__}); take the released weights, or export "
                         "a trained model anew") from error
    if channels != INPUTS or not (0 < sizes[0] < 10_000 and 0 <= sizes[1] < 10_000):
        raise ValueError(f"{path}: an ONNX file of another kind; export one with "
                         "lowlight.export_model")
    session_of_size = lru_cache(maxsize=1)(start_session)   # all tiles have one size

    def run(*inputs):
        size = inputs[0].shape[1:3]
        try:
            return session_of_size(*size).run(None, dict(zip(INPUTS, inputs)))[0]
        except Exception as error:
            raise ValueError(f"{path}: the network fails on {size} pixels "
                             f"({type(error).__name__}); take the released weights, or a "
                             "smaller --tile if memory is short") from error
    return Network(run, *sizes, path.absolute())


def load_keras(path):
    """The Network in a .keras file; needs the packages that CNN.ipynb needs."""
    try:
        from lowlight import cnn, export
    except ImportError as error:
        raise ValueError(f"{path}: a .keras file needs {error.name} and more: pip install "
                         "'lowlight[train]', or export the model as .onnx") from error
    model = cnn.load_model(path)
    try:
        multiple, radius = model.get_layer("pad").multiple, export.receptive_radius(model)
    except Exception as error:                  # a model of other layers
        raise ValueError(f"{path}: a model of another kind ({error}); train one with "
                         "CNN.ipynb") from error

    def run(*inputs):
        return model.predict_on_batch(list(inputs))
    return Network(run, multiple, radius, path.absolute())
