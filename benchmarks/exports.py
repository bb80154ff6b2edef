#!/usr/bin/env python3
"""Size, agreement and speed of the exports, each in its own runtime, all in one process.

    python benchmarks/exports.py [--weights FILE] [--repeats 9]

Seconds per megapixel are the median over photos of 600 x 400 in one piece, two threads.
"""
import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

import lowlight as ll  # noqa: E402


def onnx_runner(path):
    """A function (photo, thumbnail) -> output that runs an .onnx file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda photo, thumbnail: session.run(
        None, {"photo": photo, "thumbnail": thumbnail})[0]


def litert_runner(path):
    """A function (photo, thumbnail) -> output that runs a .tflite file."""
    interpreter = Interpreter(str(path), num_threads=2)
    places = {("photo" if "photo" in one["name"] else "thumbnail"): one["index"]
              for one in interpreter.get_input_details()}

    def run(photo, thumbnail):
        interpreter.resize_tensor_input(places["photo"], photo.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(places["photo"], photo)
        interpreter.set_tensor(places["thumbnail"], thumbnail)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", default=ROOT / "weights" / "lowlight.keras", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    model, rng = ll.load_model(options.weights), np.random.default_rng(0)
    inputs = {size: [rng.integers(0, 60, (1, *size, 3)).astype(np.float32) / 255,
                     rng.random((1, 64, 64, 3), np.float32) / 5]
              for size in ((400, 600), (101, 77), (333, 500))}
    with tempfile.TemporaryDirectory() as folder:
        files = {"ONNX float32": "a.onnx", "LiteRT float32": "b.tflite", "LiteRT float16": "c.tflite"}
        runners = {"Keras": lambda *batch: np.asarray(model.predict_on_batch(list(batch)))}
        sizes = {"Keras": options.weights.stat().st_size}
        for name, file in files.items():
            path = Path(folder, file)
            ll.export_model(model, path, float16="16" in name)
            runners[name] = (onnx_runner if "ONNX" in name else litert_runner)(path)
            sizes[name] = path.stat().st_size
        print("| runtime | file (MB) | largest difference (grey levels of 255) | s / MP |\n"
              "|---|--:|--:|--:|")
        for name, run in runners.items():
            worst = max(np.abs(run(*batch) - runners["Keras"](*batch)).max()
                        for batch in inputs.values())
            times = []
            for _ in range(options.repeats):
                start = time.perf_counter()
                run(*inputs[(400, 600)])
                times.append(time.perf_counter() - start)
            print(f"| {name} | {sizes[name] / 1e6:.2f} | {255 * worst:.4f} "
                  f"| {np.median(times) / 0.24:.2f} |")


if __name__ == "__main__":
    main()
