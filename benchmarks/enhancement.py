#!/usr/bin/env python3
"""Seconds and peak memory from JPEG file to JPEG file, 0.25 to 100 megapixels.

    python benchmarks/enhancement.py [--weights FILE] [--sizes 0.25 2 12 48 100]

Each size runs in a process of its own, so that its peak is its own. Start-up (imports
and loading the weights) is timed apart; reading and writing the files is included.
"""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def measure(weights, path):
    """Enhance the photo `path` twice; prints start-up, seconds and peak as JSON."""
    begin = time.perf_counter()
    import lowlight as ll
    model, seconds = ll.load_model(weights), []
    ready = time.perf_counter()
    for _ in range(2):
        start = time.perf_counter()
        ll.enhance_photo(model, path, path.with_name("bright.jpg"))
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6        # Linux: kB
    print(json.dumps({"start": ready - begin, "first": seconds[0], "second": seconds[1],
                      "peak": peak}))


def write_photo(path, megapixels):
    """A dark 4:3 photo with soft noise, as JPEG."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 60, (height // 4, height // 3, 3), np.uint8))
    photo.resize((height * 4 // 3, height)).save(path, quality=95)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", default=str(ROOT / "weights" / "lowlight.keras"))
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.25, 2, 12, 48, 100])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return measure(options.weights, options.one)
    print("| megapixels | start-up (s) | first photo (s) | next (s) | s / MP | peak (GB) |")
    print("|--:|--:|--:|--:|--:|--:|")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            photo = Path(folder) / "dark.jpg"
            write_photo(photo, size)
            done = subprocess.run(
                [sys.executable, __file__, "--weights", options.weights, "--one", photo],
                check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        print(f"| {size:g} | {row['start']:.1f} | {row['first']:.1f} | {row['second']:.1f} "
              f"| {row['second'] / size:.2f} | {row['peak']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
