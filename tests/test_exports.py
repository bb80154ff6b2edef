"""Exports agree with Keras, each in its own runtime, at three sizes of photo."""
import builtins

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

import lowlight as ll

SIZES = ((96, 128), (101, 77), (30, 211))


def run_onnx(path, photo, thumbnail):
    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {"photo": photo, "thumbnail": thumbnail})[0]


def run_litert(path, photo, thumbnail):
    interpreter = Interpreter(str(path))
    inputs = {("photo" if "photo" in one["name"] else "thumbnail"): one["index"]
              for one in interpreter.get_input_details()}
    interpreter.resize_tensor_input(inputs["photo"], photo.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["photo"], photo)
    interpreter.set_tensor(inputs["thumbnail"], thumbnail)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name, float16, run", [
    ("model.onnx", False, run_onnx), ("model.tflite", False, run_litert),
    ("half.tflite", True, run_litert)])
def test_an_export_agrees_with_keras(tmp_path, rng, random_model, name, float16, run):
    model = random_model()
    ll.export_model(model, tmp_path / name, float16)
    for size in SIZES:
        photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
        inputs = photo[None] / np.float32(255), ll.make_thumbnail(photo)[None]
        difference = run(tmp_path / name, *inputs) - model.predict_on_batch(list(inputs))
        assert difference.shape == (1, *size, 3) and np.abs(difference).max() < 1 / 255


def test_float16_takes_half_the_space(tmp_path, random_model):
    model = random_model((16, 32, 64))
    ll.export_model(model, tmp_path / "full.tflite")
    ll.export_model(model, tmp_path / "half.tflite", float16=True)
    full, half = ((tmp_path / name).stat().st_size for name in ("full.tflite", "half.tflite"))
    assert half < 0.6 * full


def test_what_cannot_be_exported_is_said(tmp_path, random_model, monkeypatch):
    model = random_model()
    for name, float16 in (("model.pb", False), ("model.onnx", True)):
        with pytest.raises(ValueError, match=name):
            ll.export_model(model, tmp_path / name, float16)

    def missing(name, *arguments, real=builtins.__import__):
        if name.startswith("tf2onnx"):
            raise ImportError("No module named 'tf2onnx'", name="tf2onnx")
        return real(name, *arguments)
    monkeypatch.setattr(builtins, "__import__", missing)
    for name in [name for name in __import__("sys").modules if name.startswith("tf2onnx")]:
        monkeypatch.delitem(__import__("sys").modules, name)
    with pytest.raises(ValueError, match="pip install"):
        ll.export_model(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
