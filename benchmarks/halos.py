#!/usr/bin/env python3
"""Dark rings around lights: clean photos darkened evenly, with a light and without.

    python benchmarks/halos.py FOLDER [--weights FILE ...] [--photos N]

FOLDER holds good photos, as CLEAN of the notebook; some of its validation tenth get one
light each: a white disc with a sharp edge, a lamp with its glow, or a lit panel. For
rings around it, the table says how many stops darker than the truth they come out,
compared with what lies far from the light, less the same without the light. 0 is ideal.
Without --weights: the released ones.
"""
import argparse
import zlib
from pathlib import Path

import numpy as np
from common import markdown_head, markdown_row

import lowlight
from lowlight import cnn

RINGS = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2)      # of the shorter side, from the edge on
FAR = 0.3
STOPS = (2.5, 4.0)


def light(shape, kind, rng):
    """(linear light (H, W, 3), distance from its edge (H, W) over the shorter side)."""
    side = min(shape[:2])
    y, x = (np.abs(np.arange(length) - length * rng.uniform(0.3, 0.7)) / side
            for length in shape[:2])
    y, x = y[:, None], x[None]
    colour = np.array([1, 0.7, 0.35]) if rng.random() < 0.5 else np.ones(3)
    if kind == "panel":
        inside = np.maximum(y / 0.06, x / 0.15) < 1
        edge = np.hypot(np.maximum(y - 0.06, 0), np.maximum(x - 0.15, 0))
        return inside[..., None] * 5 * rng.uniform(0.5, 1.5, 3), edge
    distance = np.hypot(y, x)
    if kind == "disc":
        return (distance < 0.015)[..., None] * 256 * colour, distance - 0.015
    glow = 256 / (1 + (distance / 0.004) ** 2) / (1 + (distance / 0.05) ** 4)
    return glow[..., None] * colour, distance - 0.02


def luma(linear):
    """Luma (H, W) of linear light, plus a little, so that black has a logarithm."""
    return cnn.as_uint8(cnn.to_srgb(linear.clip(0, 1))) @ cnn.LUMA / 255 + 0.02


def depths(network, photo, kind, stops, name):
    """Stops by which each ring of RINGS is darker, negative numbers."""
    rng = np.random.default_rng(zlib.crc32(f"{name}{kind}".encode()))
    linear, found = cnn.to_linear(photo / 255), []
    lamp, distance = light(photo.shape, kind, rng)
    for scene in (linear, linear + lamp):
        low = cnn.as_uint8(cnn.expose(      # with the same noise each time
            cnn.to_srgb(scene), np.random.default_rng(0), stops=stops, shot=3e-4))
        result = lowlight.enhance(network, low) @ cnn.LUMA / 255 + 0.02
        far, truth = distance > FAR, luma(scene)
        level = np.median(result[far]) / np.median(truth[far])
        rings = [(distance > a) & (distance <= b) for a, b in zip(RINGS, RINGS[1:])]
        found.append([np.log2(result[ring].mean() / truth[ring].mean() / level)
                      for ring in rings])
    return np.subtract(found[1], found[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="clean photos")
    parser.add_argument("--weights", nargs="*", default=[None], type=Path,
                        metavar="FILE", help=".onnx or .keras")
    parser.add_argument("--photos", type=int, default=24, help="at most so many")
    options = parser.parse_args()
    pairs = cnn.find_clean(options.folder)[1][::5][:options.photos]
    markdown_head(["weights", "light", *(f"{a} to {b}" for a, b in zip(RINGS, RINGS[1:]))])
    for path in options.weights:
        network = lowlight.load(path)
        for kind in ("disc", "glow", "panel"):
            means = np.mean([depths(network, cnn.load_photo(pair.normal), kind, stops,
                                    pair.name) for pair in pairs for stops in STOPS], axis=0)
            markdown_row([path or "released", kind, *(f"{mean:.2f}" for mean in means)])


if __name__ == "__main__":
    main()
