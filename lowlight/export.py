"""A trained Keras model as a file for ONNX Runtime (.onnx) or LiteRT (.tflite)."""
import logging
from pathlib import Path

import keras
import numpy as np

from lowlight.files import quiet_stderr, whole_file

try:
    import onnx
except ImportError:             # only .onnx files need it
    onnx = None

SAME_IN_ONNX = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div",
                "TrueDivide": "Div", "Sqrt": "Sqrt", "Exp": "Exp", "ReLU": "Relu",
                "Tanh": "Tanh", "Sigmoid": "Sigmoid"}
POINTWISE = {*SAME_IN_ONNX, "Square", "Concatenate", "Split", "Activation",
             "PadToMultiple", "CropLike"}
ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


def receptive_radius(model):
    """How many pixels away the photo can still change an output pixel (upper bound).

    Raises ValueError for a model with an operation that may see the whole photo.
    """
    sees = {id(model.inputs[0]): (1, np.zeros(2, int))}     # tensor -> (stride, radii)
    for operation in model.operations:      # each after those that it needs
        known = [sees[id(tensor)] for tensor in keras.tree.flatten(operation.input)
                 if id(tensor) in sees]
        if not known:
            continue                        # the global branch sees the thumbnail only
        stride, radius = known[0][0], np.max([radius for _, radius in known], axis=0)
        kind, strides = type(operation).__name__, getattr(operation, "strides", (1, 1))
        if kind == "Conv2D":
            radius = radius + (operation.kernel_size[0] - strides[0] + 1) // 2 * stride
            stride *= strides[0]
        elif kind == "UpSampling2D":
            stride //= operation.size[0]
            radius = radius + (operation.size[0] - 1) * stride
        elif kind == "AveragePooling2D" and strides[0] == 1:
            radius = radius + np.array(operation.pool_size) // 2 * stride
        elif kind == "SampleGrid":              # where the pixels lie, not what they show
            stride, radius = operation.stride, np.zeros(2, int)
        elif kind not in POINTWISE:
            raise ValueError(f"{operation.name}: may see the whole photo; no exact tiles")
        for tensor in keras.tree.flatten(operation.output):
            sees[id(tensor)] = (stride, radius)
    return int(sees[id(model.outputs[0])][1].max())


class OnnxGraph:
    """Nodes and constants of an ONNX graph in the order in which they are added."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, dtype=np.float32):
        """The name of a new constant tensor."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, kind, *inputs, outputs=1, **attributes):
        """The name of the output of a new node, or a list; `inputs` are such names."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{n}" for n in range(outputs)]
        self.nodes.append(onnx.helper.make_node(kind, inputs, names, name, **attributes))
        return name if outputs == 1 else names

    def add_layer(self, layer, *inputs):
        """The same for what one layer of a model of the notebook does to its inputs."""
        kind = type(layer).__name__
        if kind in SAME_IN_ONNX:
            return self.add(SAME_IN_ONNX[kind], *inputs)
        if kind in ("Conv2D", "Dense"):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            bias = (keras.ops.convert_to_numpy(layer.bias) if layer.use_bias
                    else np.zeros(kernel.shape[-1]))
            if kind == "Dense":
                x = self.add("Gemm", *inputs, self.constant(kernel), self.constant(bias))
            else:
                x = self.add("Conv", *inputs, self.constant(kernel.transpose(3, 2, 0, 1)),
                             self.constant(bias), strides=layer.strides,
                             auto_pad="SAME_UPPER")
            name = layer.activation.__name__
            return x if name == "linear" else self.add(ACTIVATIONS[name], x)
        if kind == "Square":
            return self.add("Mul", *inputs, *inputs)
        if kind == "Activation":
            return self.add(ACTIVATIONS[layer.activation.__name__], *inputs)
        if kind == "SampleGrid":
            return self.add_sampling(layer, *inputs)
        if kind == "Split":
            channels = [tensor.shape[-1] for tensor in layer.output]
            return self.add("Split", *inputs, self.constant(channels, np.int64), axis=1,
                            outputs=len(channels))
        if kind == "Concatenate":
            return self.add("Concat", *inputs, axis=1)
        if kind == "GlobalAveragePooling2D":
            mean = self.add("GlobalAveragePool", *inputs)
            return mean if layer.keepdims else self.add("Flatten", mean)
        if kind == "Reshape":                   # a value a channel, for all places
            return self.add("Unsqueeze", *inputs, self.constant([2, 3], np.int64))
        if kind == "UpSampling2D":
            return self.add("Resize", *inputs, "", self.constant([1, 1, *layer.size]),
                            mode="nearest", nearest_mode="floor",
                            coordinate_transformation_mode="asymmetric")
        if kind == "AveragePooling2D":
            return self.add("AveragePool", *inputs, kernel_shape=layer.pool_size,
                            auto_pad={"same": "SAME_UPPER", "valid": "VALID"}[layer.padding])
        none = self.constant([0, 0], np.int64)
        if kind == "PadToMultiple":
            sides = self.add("Shape", *inputs, start=2)
            after = self.add("Mod", self.add("Neg", sides),
                             self.constant(layer.multiple, np.int64))
            pads = self.add("Concat", none, none, none, after, axis=0)
            return self.add("Pad", *inputs, pads, mode="edge")
        if kind == "CropLike":
            sides = self.add("Shape", inputs[1], start=2)
            return self.add("Slice", inputs[0], none, sides,
                            self.constant([2, 3], np.int64))
        raise ValueError(f"{layer.name}: a {kind} cannot be written as ONNX; write the "
                         "model as .tflite or use its .keras file")


    def add_sampling(self, layer, grid, window, photo):
        """What a SampleGrid does, the channels before rows and columns."""
        def whole(value):
            return self.constant(value, np.int64)

        def shares(axis):
            """(B, n, G): the share of each place of the grid in each pixel of an axis."""
            length = self.add("Shape", photo, start=axis + 2, end=axis + 3)
            length = self.add("Squeeze", length, whole([0]))
            steps = self.add("Add", length, whole(layer.multiple - 1))
            steps = self.add("Div", steps, whole(layer.multiple))
            steps = self.add("Mul", steps, whole(layer.multiple // layer.stride))
            pixels = self.add("Cast", self.add("Range", whole(0), steps, whole(1)), to=1)
            pixels = self.add("Add", pixels, self.constant(0.5))
            step = self.add("Div", self.constant(layer.stride),
                            self.add("Cast", length, to=1))
            centres = self.add("Mul", pixels, step)
            first, last = (self.add("Slice", window, whole([n]), whole([n + 1]),
                                    whole([1])) for n in (axis, axis + 2))
            places = self.add("Add", first, self.add(
                "Mul", self.add("Sub", last, first), centres))
            places = self.add("Sub", self.add("Mul", places, self.constant(side)),
                              self.constant(0.5))
            places = self.add("Clip", places, self.constant(0), self.constant(side - 1))
            places = self.add("Unsqueeze", places, whole([2]))
            distance = self.add("Abs", self.add(
                "Sub", places, self.constant(np.arange(side))))
            return self.add("Relu", self.add("Sub", self.constant(1), distance))

        side = layer.input[0].shape[1]
        rows = self.add("Unsqueeze", shares(0), whole([1]))
        columns = self.add("Transpose", shares(1), perm=(0, 2, 1))
        columns = self.add("Unsqueeze", columns, whole([1]))
        return self.add("MatMul", rows, self.add("MatMul", grid, columns))


def as_onnx(model):
    """The ONNX model of a Keras model of the notebook.

    Keras would write one by tf2onnx. This one keeps the channels before the rows and
    columns from beginning to end, as ONNX Runtime computes: a tenth less time and a fifth
    less memory.
    """
    graph, names = OnnxGraph(), {}

    def name_of(argument):
        if isinstance(argument, dict):          # a tensor, as a .keras file describes it
            name, _, number = argument["config"]["keras_history"]
            return names[name] if isinstance(names[name], str) else names[name][number]
        return graph.constant(argument)

    for entry in model.get_config()["layers"]:
        if entry["class_name"] == "InputLayer":
            names[entry["name"]] = entry["name"] if entry["name"] == "window" else graph.add(
                "Transpose", entry["name"], perm=(0, 3, 1, 2))
            continue
        (node,) = entry["inbound_nodes"]
        inputs = node["args"][0] if isinstance(node["args"][0], list | tuple) else node["args"]
        operation = model.operations[len(names)]
        names[entry["name"]] = graph.add_layer(operation, *map(name_of, inputs))
    graph.add("Transpose", list(names.values())[-1], perm=(0, 2, 3, 1))
    graph.nodes[-1].output[0] = "bright"

    def tensor(name, *shape):
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    inputs = [tensor("photo", "batch", "height", "width", 3),
              tensor("thumbnail", "batch", 64, 64, 3), tensor("window", "batch", 4)]
    outputs = [tensor("bright", "batch", "height", "width", 3)]
    made = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, model.name, inputs, outputs, graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    onnx.helper.set_model_props(made, {
        "multiple": str(model.get_layer("pad").multiple),
        "radius": str(receptive_radius(model))})
    onnx.checker.check_model(made, full_check=True)
    return made


def export_model(model, path, float16=False):
    """Write the model to `path`, an .onnx or .tflite file, whole or not at all.

    Inputs as in Keras, float32 in [0, 1]: photo (B, H, W, 3) of any size and thumbnail
    (B, 64, 64, 3); the output is not clipped. An .onnx file carries what the tiles of
    `lowlight.enhance` need, so that the command takes it as `--weights`; a .tflite is
    written by Keras, on TensorFlow. `float16` stores its weights in half the space. Raises
    ValueError, naming the remedy, if it cannot be written.
    """
    suffix = Path(path).suffix
    if suffix not in (".onnx", ".tflite") or float16 and suffix == ".onnx":
        raise ValueError(f"{path}: exports are .onnx or .tflite; float16 is for .tflite")
    if suffix == ".onnx" and onnx is None:
        raise ValueError(f"{path}: one more package is needed: pip install onnx")
    if suffix == ".tflite" and keras.backend.backend() != "tensorflow":
        raise ValueError(f"{path}: .tflite is written from the TensorFlow backend; set "
                         "KERAS_BACKEND=tensorflow")
    logging.disable(logging.WARNING)
    try:
        with whole_file(path) as part, quiet_stderr():
            if suffix == ".onnx":
                part.write_bytes(as_onnx(model).SerializeToString())
            else:
                write_litert(model, part, float16)
    finally:
        logging.disable(logging.NOTSET)


def write_litert(model, path, float16):
    """Write a .tflite file by Keras and TensorFlow."""
    options = {}
    if float16:
        import tensorflow
        options = {"optimizations": [tensorflow.lite.Optimize.DEFAULT],
                   "target_spec": {"supported_types": [tensorflow.float16]}}
    model.export(path, format="litert", verbose=False, **options)
