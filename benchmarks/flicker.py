#!/usr/bin/env python3
"""How much a clip flickers, with and without smoothing of the exposure.

    python benchmarks/flicker.py [PHOTO ...] [--frames 50] [--weights FILE]

Each clip is a window that pans over a bright photo, darkened by four stops with fresh
noise in every frame. Flicker is the mean change of the mean luma from frame to frame,
over the change that the dark clip itself has after one gain that makes both equally
bright: 1 is ideal. Without PHOTO: photos of scenes of scikit-image and scikit-learn.
"""
import argparse
from pathlib import Path

import numpy as np
from common import markdown_head, markdown_row

import lowlight
from lowlight import cnn
from lowlight.clips import ClipEnhancer
from lowlight.photo import mean_luma

SECONDS = {"no smoothing": 0, "0.5 s": 0.5, "1 s": 1, "2 s": 2}


def pan(photo, count, rng, part=0.6):
    """Yield `count` dark, noisy frames of a window that crosses a bright photo."""
    sides = np.array(photo.shape[:2])
    size = (sides * part).astype(int)
    for share in np.linspace(0, 1, count):
        top, left = ((sides - size) * share).astype(int)
        yield cnn.underexpose(photo[top:top + size[0], left:left + size[1]], rng, 4, 2e-4)


def flicker(dark, bright):
    """Mean change of the luma from frame to frame over that of the dark clip.

    `dark` and `bright`: mean luma of each frame; the dark ones are brought to the mean
    of the bright ones first.
    """
    ideal = np.mean(bright) / np.mean(dark) * np.abs(np.diff(dark)).mean()
    return np.abs(np.diff(bright)).mean() / max(ideal, 1e-9)


def write_row(name, values):
    """Print one line of the table."""
    markdown_row([name, *(f"{value:.2f}" for value in values)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path, default=cnn.sample_photos())
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--rate", type=float, default=25)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    network, table = lowlight.load(options.weights), []
    markdown_head(["photo panned", *SECONDS])
    for path in options.photos:
        enhancers = [ClipEnhancer(network, options.rate, seconds=seconds)
                     for seconds in SECONDS.values()]
        photo, rng = lowlight.load_photo(path), np.random.default_rng(0)
        frames = list(pan(photo, options.frames, rng))
        for enhancer in enhancers:
            enhancer.look_ahead(frames)
        lumas = np.array([[mean_luma(frame), *(mean_luma(enhancer(frame))
                                               for enhancer in enhancers)]
                          for frame in frames])
        table.append([flicker(lumas[:, 0], bright) for bright in lumas.T[1:]])
        write_row(path.stem, table[-1])
    write_row("mean", np.mean(table, axis=0))


if __name__ == "__main__":
    main()
