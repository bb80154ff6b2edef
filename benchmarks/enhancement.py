#!/usr/bin/env python3
"""Seconds and peak memory of enhancing photos of 0.25 to 48 megapixels.

    python benchmarks/enhancement.py [--weights FILE] [--sizes 0.25 2 12 48]

Each size runs in a process of its own, so that its peak is its own. Start-up (imports
and loading the weights) is timed apart.
"""
import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def measure(weights, megapixels):
    """Enhance one noisy dark photo, 4:3; prints start-up, seconds and peak as JSON."""
    begin = time.perf_counter()
    import numpy as np

    import lowlight as ll
    model = ll.load_model(weights) if weights else ll.build_model()
    ready = time.perf_counter()
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    photo = np.random.default_rng(0).integers(0, 60, (height, height * 4 // 3, 3), np.uint8)
    start = time.perf_counter()
    ll.enhance(model, photo)
    first = time.perf_counter() - start
    start = time.perf_counter()
    ll.enhance(model, photo)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6        # Linux: kB
    print(json.dumps({"start": ready - begin, "first": first, "peak": peak,
                      "second": time.perf_counter() - start}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", default="")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.25, 2, 12, 48])
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return measure(options.weights, options.one)
    print("| megapixels | start-up (s) | first photo (s) | next (s) | s / MP | peak (GB) |")
    print("|--:|--:|--:|--:|--:|--:|")
    for size in options.sizes:
        done = subprocess.run([sys.executable, __file__, "--weights", options.weights, "--one",
                               str(size)], check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        print(f"| {size:g} | {row['start']:.1f} | {row['first']:.1f} | {row['second']:.1f} "
              f"| {row['second'] / size:.2f} | {row['peak']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
