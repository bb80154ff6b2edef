#!/usr/bin/env python3
"""The command `lowlight` from JPEG file to JPEG file, 0.25 to 100 megapixels.

    python benchmarks/command.py [--weights FILE] [--sizes 0.25 2 12 48 100] [--tile N]
                                 [--other "PROGRAM --in {input} --out {output}"]

Each size runs in a process of its own, so that its peak memory is its own: it does what
the command does with two photos, then multiplies matrices with NumPy. Start-up lasts
from the start of Python to the loaded weights; reading and writing the files is
included. Share: 2 x multiply-accumulates of the network over the time of the second
photo, over NumPy's rate in the same process. `--other` runs another program on the same
photo right after, start-up included.
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import RELEASED, markdown_head, markdown_row, matmul_rate
from PIL import Image

COLUMNS = ["megapixels", "start-up (s)", "first photo (s)", "next (s)", "s / MP",
           "peak (GB)", "of NumPy's matmul"]
OTHER = ["lowlight, start to first photo (s)", "the other (s)", "its peak (GB)"]


def peak_memory():
    """Peak memory of this process in GB; unlike getrusage, without that of its parent."""
    status = Path("/proc/self/status").read_text()          # Linux
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def measure(begin, *arguments):
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


def run_other(*call):
    """{"seconds", "peak" in GB} of another program."""
    start, process = time.monotonic(), subprocess.Popen(call, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{shlex.join(call)}: failed")
    return {"seconds": time.monotonic() - start, "peak": usage.ru_maxrss * 1024 / 1e9}


def macs_a_pixel(weights):
    """Multiply-accumulates per pixel, counted on the .keras file beside the weights."""
    from lowlight import cnn
    model = cnn.load_model(Path(weights).with_suffix(".keras"))
    return cnn.count_macs(model) / 256 ** 2


PARTS = {"--measure": measure, "--run-other": run_other, "--macs": macs_a_pixel}


def in_a_process(part, *arguments):
    """What the function PARTS[part] returns in a small process of its own."""
    call = [sys.executable, __file__, part, *map(str, arguments)]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_photo(path, megapixels):
    """A dark 4:3 photo with soft noise, as JPEG."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 60, (height // 4, height // 3, 3), np.uint8))
    photo.resize((height * 4 // 3, height)).save(path, quality=95)


def measure_size(megapixels, options, macs):
    """The row of the table for photos of so many megapixels."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [Path(folder, f"dark-{number}.jpg") for number in (1, 2)]
        for photo in photos:
            write_photo(photo, megapixels)
        pixels = np.prod(Image.open(photos[0]).size, dtype=float)
        tile = ["--tile", options.tile] if options.tile else []
        run = in_a_process("--measure", time.monotonic(), *photos, "--out",
                           Path(folder, "bright"), "--weights", options.weights, *tile)
        first, second = run["photos"]
        row = [f"{megapixels:g}", *(f"{value:.2f}" for value in (
            run["start-up"], first, second, second / pixels * 1e6, run["peak"])),
               f"{2 * macs * pixels / second / run['rate']:.0%}"]
        if options.other:
            other = in_a_process("--run-other", *(
                part.format(input=photos[0], output=Path(folder, "other.jpg"))
                for part in shlex.split(options.other)))
            row += [f"{value:.2f}" for value in (
                run["start-up"] + first, other["seconds"], other["peak"])]
    return row


def main():
    if sys.argv[1:] and sys.argv[1] in PARTS:               # see in_a_process
        print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=RELEASED.with_suffix(".onnx"), type=Path)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.25, 2, 12, 48, 100])
    parser.add_argument("--tile", type=int, help="as of the command")
    parser.add_argument("--other", metavar="COMMAND",
                        help="another program, with {input} and {output}")
    options = parser.parse_args()
    macs = in_a_process("--macs", options.weights)
    markdown_head(COLUMNS + (OTHER if options.other else []))
    for megapixels in options.sizes:
        markdown_row(measure_size(megapixels, options, macs))


if __name__ == "__main__":
    main()
