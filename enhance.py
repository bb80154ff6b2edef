#!/usr/bin/env python3
"""Brighten photos and folders of photos: python enhance.py INPUT ... --out DIR

All logic is in lowlight.py; this file reads the command line and reports.
"""
import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

import lowlight


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a photo or a folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--weights", metavar="FILE", help="a .keras file that CNN.ipynb trained",
                        default=Path(__file__).resolve().parent / "weights" / "lowlight.keras")
    parser.add_argument("--brightness", type=float, metavar="X",
                        help="mean luma wanted, between 0 and 1 (default: as the model likes)")
    parser.add_argument("--tile", type=int, default=768, metavar="N",
                        help="pixels a side worked on at a time (default 768): less memory or "
                             "more speed, the same result")
    parser.add_argument("--format", choices=("jpg", "png", "webp", "tif"),
                        help="of the results (default: that of the photo)")
    parser.add_argument("--quality", type=int, default=95, help="of JPEG and WebP (default 95)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Enhance what the command line names; returns the exit status, 1 if a photo failed."""
    options = parse(arguments)
    try:
        model = lowlight.load_model(options.weights)
        if options.brightness is not None and not 0 < options.brightness < 1:
            raise ValueError(f"--brightness {options.brightness}: must lie between 0 and 1")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    start, megapixels, failed = time.perf_counter(), 0.0, 0
    with tqdm(total=len(lowlight.find_photos(options.inputs)), unit="photo") as bar:
        for path, _, result in lowlight.enhance_files(
                model, options.inputs, options.out, options.format and "." + options.format,
                options.overwrite, brightness=options.brightness, tile=options.tile,
                quality=options.quality):
            if isinstance(result, Exception):
                failed += 1
                bar.write(f"error: {result}", file=sys.stderr)
            else:
                megapixels += result
            bar.update()
            bar.set_postfix_str(f"{megapixels / (time.perf_counter() - start):.2f} MP/s")
    seconds = time.perf_counter() - start
    print(f"{bar.n - failed} photos, {megapixels:.1f} megapixels in {seconds:.1f} s; "
          f"{failed} failed; results in {options.out}")
    if bar.n == 0:
        print("error: no photo found", file=sys.stderr)
    return int(failed > 0 or bar.n == 0)


if __name__ == "__main__":
    sys.exit(main())
