#!/usr/bin/env python3
"""How much a clip flickers, with and without smoothing of the exposure.

    python benchmarks/flicker.py [PHOTO ...] [--frames 50] [--weights FILE]

Each clip is a window that pans over a bright photo, darkened by four stops with fresh
noise in every frame. Flicker is the mean change of the mean luma from frame to frame,
over the change that the dark clip itself has after one gain that makes both equally
bright: 1 is ideal. Without PHOTO: photos of scenes of scikit-image and scikit-learn.
"""
import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import markdown_head, markdown_row

import lowlight
from lowlight.clips import ClipEnhancer
from lowlight.photo import mean_luma, quantise

SECONDS = {"no smoothing": 0, "0.5 s": 0.5, "1 s": 1, "2 s": 2}


def sample_photos():
    """The paths of the photographs of scenes in scikit-image and scikit-learn."""
    folders = [Path(find_spec(package).submodule_search_locations[0], inside)
               for package, inside in (("skimage", "data"),
                                       ("sklearn", "datasets/images"))]
    names = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
             "motorcycle_left.png", "rocket.jpg", "china.jpg", "flower.jpg")
    paths = [folder / name for name in names for folder in folders]
    return [path for path in paths if path.is_file()]


def darken(photo, rng, stops=4, shot=2e-4):
    """A uint8 photo as the same camera sees it `stops` darker, noise included.

    `shot`: variance over signal in linear light; the read noise follows it as in Brooks
    et al. (2019). Between: sRGB to linear light and back (IEC 61966-2-1).
    """
    encoded = photo / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92,
                      ((encoded + 0.055) / 1.055) ** 2.4) / 2 ** stops
    read = np.exp(2.18 * np.log(shot) + 1.20 + rng.normal(0, 0.26))
    linear += rng.normal(size=linear.shape) * np.sqrt(shot * linear + read)
    encoded = np.where(linear <= 0.0031308, linear * 12.92,
                       1.055 * linear.clip(0.0031308) ** (1 / 2.4) - 0.055)
    return quantise(encoded, np.uint8)


def pan(photo, count, rng, part=0.6):
    """Yield `count` dark, noisy frames of a window that crosses a bright photo."""
    sides = np.array(photo.shape[:2])
    size = (sides * part).astype(int)
    for share in np.linspace(0, 1, count):
        top, left = ((sides - size) * share).astype(int)
        yield darken(photo[top:top + size[0], left:left + size[1]], rng)


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
    parser.add_argument("photos", nargs="*", type=Path, default=sample_photos())
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
        lumas = np.array([[mean_luma(frame), *(mean_luma(enhancer(frame))
                                               for enhancer in enhancers)]
                          for frame in pan(photo, options.frames, rng)])
        table.append([flicker(lumas[:, 0], bright) for bright in lumas.T[1:]])
        write_row(path.stem, table[-1])
    write_row("mean", np.mean(table, axis=0))


if __name__ == "__main__":
    main()
