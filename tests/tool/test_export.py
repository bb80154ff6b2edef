"""Exports agree with Keras, each in its own runtime, and work as weights of the tool."""
import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

import lowlight
from lowlight import cnn, export
from lowlight.network import INPUTS

SIZES = ((48, 64), (51, 37), (10, 211))


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """(Keras model, folder with model.keras, model.onnx, model.tflite, half.tflite)."""
    keras.utils.set_random_seed(0)
    model, rng = cnn.build_model((8, 8)), np.random.default_rng(0)
    for variable in model.trainable_variables:          # random, so no branch is silent
        scale = 0.3 / np.sqrt(np.prod(variable.shape[:-1]))
        variable.assign(variable + rng.normal(0, scale, variable.shape))
    folder = tmp_path_factory.mktemp("exports")
    model.save(folder / "model.keras")
    lowlight.export_model(model, folder / "model.onnx")
    lowlight.export_model(model, folder / "model.tflite")
    lowlight.export_model(model, folder / "half.tflite", float16=True)
    return model, folder


def run_onnx(path, *inputs):
    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, dict(zip(INPUTS, inputs)))[0]


def run_litert(path, *inputs):
    interpreter = Interpreter(str(path))
    index = {next(name for name in INPUTS if name in one["name"]): one["index"]
             for one in interpreter.get_input_details()}
    interpreter.resize_tensor_input(index["photo"], inputs[0].shape)
    interpreter.allocate_tensors()
    for name, value in zip(INPUTS, inputs):
        interpreter.set_tensor(index[name], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name, run, most", [
    ("model.onnx", run_onnx, 1e-4), ("model.tflite", run_litert, 1e-4),
    ("half.tflite", run_litert, 1 / 255)])
def test_an_export_agrees_with_keras(exports, rng, name, run, most):
    model, folder = exports
    for size in SIZES:
        photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
        inputs = (photo[None] / np.float32(255), cnn.make_thumbnail(photo)[None],
                  np.float32([[0.2, 0.1, 0.7, 0.9]]))
        output = model.predict_on_batch(list(inputs))
        difference = run(folder / name, *inputs) - output
        assert output.std() > 0.01 and difference.shape == (1, *size, 3)
        assert np.abs(difference).max() < most, size


def test_float16_takes_half_the_space_and_no_part_stays(exports):
    _, folder = exports
    full, half = ((folder / name).stat().st_size for name in ("model.tflite", "half.tflite"))
    assert half < 0.65 * full
    assert len(list(folder.iterdir())) == 4


def test_both_weights_files_make_the_same_photo(exports, rng):
    """Keras and ONNX Runtime, in one piece and in tiles, through the tool."""
    model, folder = exports
    networks = [lowlight.load(folder / name) for name in ("model.keras", "model.onnx")]
    for network in networks:
        assert (network.multiple, network.radius) == (4, export.receptive_radius(model))
    for size in ((1, 1), (90, 211)):
        photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
        whole = cnn.brighten(model, photo).astype(int)
        for network in networks:
            for tile in (16, 5000):
                result = lowlight.enhance(network, photo, tile=tile)
                assert np.abs(result - whole).max() <= 1, (size, tile)


def test_weights_of_another_kind_are_refused_by_name(exports, tmp_path):
    import onnx
    content = (exports[1] / "model.onnx").read_bytes()
    plain = onnx.load_from_string(content)
    del plain.metadata_props[:]                         # as others export
    for name, written, message in (
            ("half.onnx", content[:len(content) // 2], "no ONNX network"),
            ("text.onnx", b"text", "no ONNX network"), ("empty.onnx", b"", "no ONNX network"),
            ("plain.onnx", plain.SerializeToString(), "lowlight.export_model"),
            ("bad.keras", b"text", "no Keras model"), ("old.h5", b"", ".onnx or .keras")):
        (tmp_path / name).write_bytes(written)
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            lowlight.load(tmp_path / name)
    with pytest.raises(ValueError, match="gone.onnx"):
        lowlight.load(tmp_path / "gone.onnx")


def test_what_cannot_be_exported_is_said(exports, tmp_path, monkeypatch):
    model, _ = exports
    for name, float16 in (("model.pb", False), ("model.onnx", True)):
        with pytest.raises(ValueError, match=name):
            lowlight.export_model(model, tmp_path / name, float16)
    pooled = keras.layers.MaxPooling2D(2)(model.output)
    with pytest.raises(ValueError, match="MaxPooling2D cannot be written"):
        export.as_onnx(keras.Model(model.inputs, pooled))
    monkeypatch.setattr(export, "onnx", None)
    with pytest.raises(ValueError, match="pip install onnx"):
        lowlight.export_model(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        lowlight.export_model(model, tmp_path / "model.tflite")


def without_metadata(model):
    del model.metadata_props[:]


def metadata(value):
    def change(model):
        model.metadata_props[0].value = value
    return change


def other_name(model):
    model.graph.input[0].name = "picture"
    model.graph.node[0].input[0] = "picture"


def unknown_operator(model):
    model.graph.node[3].op_type, model.graph.node[3].domain = "Evil", "elsewhere"


def outside_data(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def wrong_shape(model):
    """Loads, and fails when it runs: found by fuzzing."""
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 1)
    kernel.dims[0], kernel.raw_data = 1, kernel.raw_data[:4]


@pytest.mark.parametrize("change", [
    without_metadata, metadata("0"), metadata("-3"), metadata("many"), metadata("9" * 20),
    other_name, unknown_operator, outside_data, wrong_shape], ids=lambda change: change.__name__)
def test_a_hostile_onnx_file_is_refused_by_name(exports, tmp_path, capfd, change):
    import onnx
    model, path = onnx.load(exports[1] / "model.onnx"), tmp_path / "evil.onnx"
    change(model)
    onnx.save(model, path)
    with pytest.raises(ValueError, match="evil.onnx"):
        lowlight.enhance(lowlight.load(path), np.zeros((9, 9, 3), np.uint8))
    assert capfd.readouterr() == ("", "")       # nothing from the runtime itself


def test_a_keras_model_without_our_layers_is_refused_by_name(tmp_path):
    photo, thumbnail = keras.Input((None, None, 3)), keras.Input((64, 64, 3))
    keras.Model([photo, thumbnail], keras.layers.ReLU()(photo)).save(tmp_path / "odd.keras")
    with pytest.raises(ValueError, match="odd.keras.*another kind"):
        lowlight.load(tmp_path / "odd.keras")
