"""A trained Keras model as a file for ONNX Runtime (.onnx) or LiteRT (.tflite)."""
import logging
from pathlib import Path

import keras
import numpy as np

from lowlight.files import quiet_stderr, whole_file

POINTWISE = {"Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Power", "Sqrt",
             "Concatenate", "ReLU", "Activation", "ZeroPadding2D", "PadToMultiple",
             "CropLike"}


def receptive_radius(model):
    """How many pixels away the photo can still change an output pixel (upper bound).

    Raises ValueError for a model with an operation that may see the whole photo.
    """
    sees = {id(model.inputs[0]): (1, 0)}    # tensor -> (stride, radius) in pixels
    for operation in model.operations:      # each after those that it needs
        known = [sees[id(tensor)] for tensor in keras.tree.flatten(operation.input)
                 if id(tensor) in sees]
        if not known:
            continue                        # the global branch sees the thumbnail only
        stride, radius = known[0][0], max(radius for _, radius in known)
        kind, strides = type(operation).__name__, getattr(operation, "strides", (1, 1))
        if kind == "Conv2DTranspose":
            stride //= strides[0]
            radius += operation.kernel_size[0] // strides[0] * stride
        elif kind == "Conv2D":
            radius += (operation.kernel_size[0] - strides[0] + 1) // 2 * stride
            stride *= strides[0]
        elif kind == "UpSampling2D":
            stride //= operation.size[0]
            radius += (operation.size[0] - 1) * stride
        elif kind == "AveragePooling2D" and strides[0] == 1:
            radius += operation.pool_size[0] // 2 * stride
        elif kind not in POINTWISE:
            raise ValueError(f"{operation.name}: may see the whole photo; no exact tiles")
        sees[id(operation.output)] = (stride, radius)
    return sees[id(model.outputs[0])][1]


def export_model(model, path, float16=False):
    """Write the model to `path`, an .onnx or .tflite file, whole or not at all.

    Inputs as in Keras, float32 in [0, 1]: photo (B, H, W, 3) of any size and thumbnail
    (B, 64, 64, 3); the output is not clipped. An .onnx file carries what the tiles of
    `lowlight.enhance` need, so that the command takes it as `--weights`. `float16` stores
    the weights of a .tflite in half the space. Raises ValueError, naming the remedy, if it
    cannot be written.
    """
    kind = {".onnx": "onnx", ".tflite": "litert"}.get(Path(path).suffix)
    if kind is None or keras.backend.backend() != "tensorflow":
        raise ValueError(f"{path}: exports are .onnx or .tflite, from the TensorFlow "
                         "backend (KERAS_BACKEND)")
    if float16 and kind == "onnx":
        raise ValueError(f"{path}: float16 is for .tflite")
    options = {}
    if float16:
        import tensorflow
        options = {"optimizations": [tensorflow.lite.Optimize.DEFAULT],
                   "target_spec": {"supported_types": [tensorflow.float16]}}
    model([np.zeros((1, 64, 64, 3), np.float32)] * 2)       # ONNX asks for one call
    logging.disable(logging.WARNING)
    try:
        with whole_file(path) as part, quiet_stderr():
            model.export(part, format=kind, verbose=False, **options)
            if kind == "onnx":
                add_metadata(part, multiple=model.get_layer("pad").multiple,
                             radius=receptive_radius(model))
    except ImportError as error:
        raise ValueError(f"{path}: one more package is needed: pip install "
                         f"{error.name or 'onnx tf2onnx'}") from error
    finally:
        logging.disable(logging.NOTSET)


def add_metadata(path, **values):
    """Write name = value pairs into the metadata of an .onnx file."""
    import onnx
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: str(value) for name, value in values.items()})
    onnx.save(model, path)
