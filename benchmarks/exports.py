#!/usr/bin/env python3
"""Size, agreement and speed of the exports, each in its own runtime, all in one process.

    python benchmarks/exports.py [--weights FILE.keras] [--repeats 9]

Seconds per megapixel are the median over photos of 600 x 400 in one piece; all use as
many threads as the machine has cores.
"""
import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from common import RELEASED, markdown_head, markdown_row

import lowlight
from lowlight import cnn
from lowlight.network import INPUTS

SIZES = (400, 600), (101, 77), (333, 500)
FILES = {"ONNX float32": "float32.onnx", "LiteRT float32": "float32.tflite",
         "LiteRT float16": "float16.tflite"}


def litert_runner(path):
    """A function (photo, thumbnail, window) -> output, batches of one, of a .tflite."""
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    places = {next(name for name in INPUTS if name in tensor["name"]): tensor["index"]
              for tensor in interpreter.get_input_details()}

    def run(*inputs):
        interpreter.resize_tensor_input(places["photo"], inputs[0].shape)
        interpreter.allocate_tensors()
        for name, value in zip(INPUTS, inputs):
            interpreter.set_tensor(places[name], value)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return run


def runner(path):
    """A function (photo, thumbnail, window) -> output, batches of one, of a file."""
    return litert_runner(path) if path.suffix == ".tflite" else lowlight.load(path).run


def make_batches():
    """[photo (1, H, W, 3), thumbnail, window] of noise for each of SIZES."""
    rng = np.random.default_rng(0)
    return [[rng.integers(0, 60, (1, *size, 3)).astype(np.float32) / 255,
             rng.random((1, 64, 64, 3), np.float32) / 5, cnn.WHOLE[None]]
            for size in SIZES]


def median_seconds(run, batch, repeats):
    """Median seconds of `repeats` runs, after one that plans."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run(*batch)
        seconds.append(time.perf_counter() - start)
    return np.median(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=RELEASED, type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    model, batches = cnn.load_model(options.weights), make_batches()
    markdown_head(["runtime", "file (MB)",
                   "largest difference (grey levels of 255)", "s / MP"])
    with tempfile.TemporaryDirectory() as folder:
        paths = {"Keras": options.weights}
        for name, file in FILES.items():
            paths[name] = Path(folder, file)
            lowlight.export_model(model, paths[name], float16="16" in name)
        expected = [runner(options.weights)(*batch) for batch in batches]
        for name, path in paths.items():
            run = runner(path)
            worst = max(np.abs(run(*batch) - output).max()
                        for batch, output in zip(batches, expected))
            seconds = median_seconds(run, batches[0], options.repeats)
            pixels = SIZES[0][0] * SIZES[0][1]
            markdown_row([name, f"{path.stat().st_size / 1e6:.2f}", f"{255 * worst:.4f}",
                          f"{seconds / pixels * 1e6:.2f}"])


if __name__ == "__main__":
    main()
