#!/usr/bin/env python3
"""Clean photos darkened by the camera model of the package: scores against the truth.

    python benchmarks/darkened.py FOLDER [--weights FILE ...] [--csv FILE]

FOLDER holds good photos, as CLEAN of the notebook; those of its test tenth are scored,
which no training with CLEAN = FOLDER has seen. Each photo is darkened in the same way
every time: evenly, by default, as the truth of uneven darkness is a choice. Without
--weights: the released ones.
"""
import argparse
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from common import add_row

import lowlight
from lowlight import camera, cnn


def darken(pair, kind):
    """(low, normal) of a clean photo, darkened in one of the ways of `camera.KINDS`."""
    rng = np.random.default_rng(zlib.crc32(pair.name.encode()))
    return camera.darken(cnn.load_photo(pair.normal), rng, camera.draw_darkness(rng, kind))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="clean photos")
    parser.add_argument("--weights", nargs="*", default=[None], type=Path,
                        metavar="FILE", help=".onnx or .keras")
    parser.add_argument("--kind", default="even", choices=camera.KINDS)
    parser.add_argument("--photos", type=int, help="at most so many")
    parser.add_argument("--csv", help="file to which a row a photo and method is added")
    options = parser.parse_args()
    photos = cnn.find_clean(options.folder)[2][:options.photos]
    methods = cnn.BASELINES | {
        str(path or "released weights"): partial(lowlight.enhance, lowlight.load(path))
        for path in options.weights}
    rows = []
    for pair in photos:
        low, normal = darken(pair, options.kind)
        rows += [{"photo": pair.name, "method": name, **cnn.scores(normal, method(low))}
                 for name, method in methods.items()]
    print(f"{len(photos)} photos, darkened: {options.kind}\n\n{cnn.markdown_table(rows)}")
    for row in rows if options.csv else ():
        add_row(options.csv, row)


if __name__ == "__main__":
    main()
