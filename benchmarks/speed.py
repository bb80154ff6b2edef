#!/usr/bin/env python3
"""How fast the command, the exports, a training step and its data are, and how much
memory the command takes.

    python benchmarks/speed.py command [--sizes 2 12 48] [--tile N] [--weights FILE]
    python benchmarks/speed.py exports [--weights FILE.keras]
    python benchmarks/speed.py step [--precision P]
    python benchmarks/speed.py data [--clean FOLDER]

command: JPEG file to JPEG file, each size in a process of its own, so that its peak
memory is its own. Share: 2 x multiply-accumulates of the network over the time of the
second photo, over NumPy's matmul rate in the same process. exports: each in its own
runtime on a photo of 600 x 400. step: the notebook's training step over the matmul rate
of the same process; a step counts 6 floating-point operations for each
multiply-accumulate (forward, gradient of the activations, gradient of the weights).
data: one core, batches of 8 crops of 128 x 128.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import RELEASED, markdown_head, markdown_row, matmul_rate
from PIL import Image

CROP, BATCH_SIZE = 128, 8


def median_seconds(run, repeats):
    """Median seconds of `repeats` calls of run(), after one that plans."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


# The command

def peak_memory():
    """Peak memory of this process in GB; unlike getrusage, without that of its parent."""
    status = Path("/proc/self/status").read_text()          # Linux
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def run_command(begin, *arguments):
    """Enhance as the command does; returns {"start-up", "photos", "peak", "rate"}.

    `begin`: time.monotonic() when this process was started. Seconds of each photo; peak
    in GB; floating-point operations a second.
    """
    from lowlight import cli, network
    options = cli.parse(arguments)
    loaded, times = network.load(options.weights), [time.monotonic()]
    for result in cli.enhance_files(loaded, cli.find_inputs(options.inputs, options.out),
                                    options):
        if isinstance(result, Exception):
            raise result
        times.append(time.monotonic())
    return {"start-up": times[0] - float(begin), "photos": np.diff(times).tolist(),
            "peak": peak_memory(), "rate": matmul_rate()}


def macs_a_pixel(weights):
    """Multiply-accumulates per pixel, counted on the .keras file beside the weights."""
    from lowlight import cnn
    model = cnn.load_model(Path(weights).with_suffix(".keras"))
    return cnn.count_macs(model) / 256 ** 2


def in_a_process(part, *arguments):
    """What a function of PARTS returns in a small process of its own."""
    call = [sys.executable, __file__, part, *map(str, arguments)]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


PARTS = {"--run-command": run_command, "--macs": macs_a_pixel}      # of in_a_process


def write_photo(path, megapixels):
    """A dark 4:3 photo with soft noise, as JPEG; returns its pixels."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 60, (height // 4, height // 3, 3), np.uint8))
    photo.resize((height * 4 // 3, height)).save(path, quality=95)
    return height * 4 // 3 * height


def measure_command(options):
    """One row for each size."""
    weights = options.weights or RELEASED.with_suffix(".onnx")
    macs = in_a_process("--macs", weights)
    markdown_head(["megapixels", "start-up (s)", "first photo (s)", "next (s)", "s / MP",
                   "peak (GB)", "of NumPy's matmul", "GFLOP of matmul a megapixel"])
    for megapixels in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            photos = [Path(folder, f"dark-{number}.jpg") for number in (1, 2)]
            pixels = [write_photo(photo, megapixels) for photo in photos][0]
            tile = ["--tile", options.tile] if options.tile else []
            run = in_a_process("--run-command", time.monotonic(), *photos, "--out",
                               Path(folder, "bright"), "--weights", weights, *tile)
        first, second = run["photos"]
        each = second / pixels * 1e6
        numbers = (run["start-up"], first, second, each, run["peak"])
        markdown_row([f"{megapixels:g}", *(f"{number:.2f}" for number in numbers),
                      f"{2 * macs * pixels / second / run['rate']:.0%}",
                      f"{each * run['rate'] / 1e9:.0f}"])


# The exports

def litert_runner(path):
    """A function (photo, thumbnail, window) -> output, batches of one, of a .tflite."""
    from ai_edge_litert.interpreter import Interpreter

    from lowlight.network import INPUTS
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    places = {}
    for tensor in interpreter.get_input_details():
        name = next(name for name in INPUTS if name in tensor["name"])
        places[name] = tensor["index"]

    def run(*inputs):
        interpreter.resize_tensor_input(places["photo"], inputs[0].shape)
        interpreter.allocate_tensors()
        for name, value in zip(INPUTS, inputs):
            interpreter.set_tensor(places[name], value)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return run


def measure_exports(options):
    """One row for each runtime."""
    import lowlight
    from lowlight import cnn
    weights, rng = options.weights or RELEASED, np.random.default_rng(0)
    model = cnn.load_model(weights)
    batch = [rng.integers(0, 60, (1, 400, 600, 3)).astype(np.float32) / 255,
             rng.random((1, 64, 64, 3), np.float32) / 5, np.float32([[0, 0, 1, 1]])]
    markdown_head(["runtime", "file (MB)", "largest difference (of 255)", "s / MP"])
    with tempfile.TemporaryDirectory() as folder:
        onnx, full, half = (Path(folder, name) for name in
                            ("full.onnx", "full.tflite", "half.tflite"))
        lowlight.export_model(model, onnx)
        lowlight.export_model(model, full)
        lowlight.export_model(model, half, float16=True)
        runs = {"Keras": (weights, lowlight.load(weights).run),
                "ONNX float32": (onnx, lowlight.load(onnx).run),
                "LiteRT float32": (full, litert_runner(full)),
                "LiteRT float16": (half, litert_runner(half))}
        expected = runs["Keras"][1](*batch)
        for name, (path, run) in runs.items():
            worst = np.abs(run(*batch) - expected).max()
            seconds = median_seconds(lambda: run(*batch), options.repeats)
            markdown_row([name, f"{path.stat().st_size / 1e6:.2f}", f"{255 * worst:.4f}",
                          f"{seconds / 0.24:.2f}"])


# Training step and data

def sample_sources(folder):
    """The sample set as pairs, and as photos to be darkened."""
    from lowlight import cnn
    pairs = cnn.write_sample_pairs(folder, seed=0)
    clean = [pair._replace(low=None) for pair in pairs]
    return cnn.PairCrops(pairs), cnn.DarkenedCrops(clean)


def step_seconds(model, batches):
    """Mean seconds of a step over one epoch."""
    import recipe
    watch = recipe.Stopwatch()
    model.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[watch])
    return watch.mean()


def measure_step(options):
    """One row for each loss; a ready batch, real data and matmul take turns."""
    from recipe import cnn, keras, ops

    class ReadyBatch(cnn.PairSequence):
        """Hands out one ready batch again and again: a step that waits for no data."""

        def __getitem__(self, index):
            if not hasattr(self, "batch"):
                self.batch = super().__getitem__(0)
            return self.batch

    keras.config.set_dtype_policy(options.precision)
    markdown_head(["loss", "GFLOP/s", "of the matmul rate", "ms a step",
                   "waiting for data"])
    with tempfile.TemporaryDirectory() as folder:
        sources = sample_sources(folder)
        for loss in ("mse", "l1_ssim"):
            model = cnn.build_model()
            flop = 6 * cnn.count_macs(model, CROP) * BATCH_SIZE
            cnn.compile_model(model, loss, 1e-4)
            kinds = [kind(sources, CROP, BATCH_SIZE, 15)
                     for kind in (ReadyBatch, cnn.PairSequence)]
            table = [[matmul_rate(ops.matmul),
                      *(step_seconds(model, kind) for kind in kinds)]
                     for _ in range(options.repeats + 1)]
            rate, ready, fed = np.array(table[1:]).T
            waiting = 1 - ready / fed
            markdown_row([
                loss, f"{np.median(flop / fed) / 1e9:.0f} of {np.median(rate) / 1e9:.0f}",
                f"{np.median(flop / fed / rate):.0%}", f"{1000 * np.median(fed):.0f}",
                f"{np.median(waiting):.1%} ({waiting.min():.0%} to {waiting.max():.0%})"])


def measure_data(options):
    """Milliseconds of one core for a batch of pairs and of darkened photos."""
    from lowlight import cnn
    markdown_head(["source", "ms of a core, a batch of 8 crops of 128 x 128"])
    with tempfile.TemporaryDirectory() as folder:
        pairs, darkened = sample_sources(folder)
        if options.clean:
            darkened = cnn.DarkenedCrops(cnn.find_clean(options.clean)[0][:200])
        for name, source in {"pairs": pairs, "darkened photos": darkened}.items():
            batches = cnn.PairSequence([source], CROP, BATCH_SIZE, 50)
            for index in range(50):                     # the photos are read
                batches[index]
            start = time.process_time()
            for index in range(50):
                batches[index]
            markdown_row([name, f"{(time.process_time() - start) / 50 * 1000:.1f}"])
    print(f"\nNumPy's matmul: {matmul_rate() / 1e9:.0f} GFLOP/s")


def main():
    if sys.argv[1] in PARTS:                                # see in_a_process
        print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("command", "exports", "step", "data"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sizes", type=float, nargs="+", default=[2, 12, 48],
                        help="megapixels")
    parser.add_argument("--tile", type=int, help="as of the command")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--clean", help="folder of good photos; else the sample set")
    options = parser.parse_args()
    measure = {"command": measure_command, "exports": measure_exports,
               "step": measure_step, "data": measure_data}[options.what]
    measure(options)


if __name__ == "__main__":
    main()
