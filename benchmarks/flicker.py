#!/usr/bin/env python3
"""How much a clip flickers, with and without smoothing of the exposure.

    python benchmarks/flicker.py [PHOTO ...] [--frames 50] [--weights FILE]

Each clip is a window that pans over a bright photo, darkened by four stops with fresh noise in
every frame. Flicker is the mean change of the mean luma from frame to frame, over the change
that the dark clip itself has after one gain that makes both equally bright: 1 is ideal.
"""
import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import numpy as np  # noqa: E402

import lowlight as ll  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", nargs="*", type=Path, default=ll.sample_photos())
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--rate", type=float, default=25)
    parser.add_argument("--weights", default=ROOT / "weights" / "lowlight.keras")
    options = parser.parse_args()
    model, rows = ll.load_model(options.weights), []
    print("| photo | no smoothing | 0.5 s | 1 s | 2 s |\n|---|--:|--:|--:|--:|")
    for path in options.photos:
        photo = ll.load_photo(path)
        enhancers = [ll.SteadyEnhancer(model, options.rate, seconds=seconds)
                     for seconds in (0, 0.5, 1, 2)]
        frames = ll.pan(photo, options.frames, np.random.default_rng(0))
        lumas = np.array([[ll.mean_luma(frame), *(ll.mean_luma(one(frame)) for one in enhancers)]
                          for frame in frames])
        rows.append([ll.flicker(lumas[:, 0], lumas[:, column]) for column in range(1, 5)])
        print(f"| {path.stem} | " + " | ".join(f"{value:.2f}" for value in rows[-1]) + " |",
              flush=True)
    print("| mean | " + " | ".join(f"{value:.2f}" for value in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
