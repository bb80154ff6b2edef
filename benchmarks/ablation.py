#!/usr/bin/env python3
"""What each ingredient of the network is worth: same steps, one changed, validation dB.

    python benchmarks/ablation.py DATASET [--clean FOLDER] [--steps 2000]
                                  [--dark FOLDER] [--crop 128] [--only NAME ...]
                                  [--seeds 0 1 2] [--csv FILE] [--precision P]

Each row trains from scratch on LOL's training pairs of weights/split.json, and, with
--clean, on photos of that folder, darkened, in every other crop. It is scored on whole
validation photos, LOL's and darkened ones; test photos are not looked at. With --dark,
the photos of that folder that come out harmed are counted, as harm.py does. The learning
rate follows a cosine over the steps, so that every row is a finished run.
"""
import argparse
import itertools
import time
from contextlib import ExitStack
from functools import partial
from unittest import mock

import harm
import numpy as np
import recipe
from common import add_row, markdown_head, markdown_row
from recipe import cnn, keras

WHOLE = np.float32([0, 0, 1, 1])                     # the window of a whole photo
GREY = np.full((64, 64, 3), 0.06, np.float32)       # a thumbnail that says nothing


class NoThumbnail(cnn.PairSequence):
    """Batches with one thumbnail for all: the global branch is told nothing."""

    def __getitem__(self, index):
        (low, thumbnail, window), normal = super().__getitem__(index)
        return (low, np.broadcast_to(GREY, thumbnail.shape), window), normal


class CropThumbnail(cnn.PairSequence):
    """Batches whose thumbnail shows the crop only, as if each tile were a photo."""

    def __getitem__(self, index):
        (low, _, window), normal = super().__getitem__(index)
        thumbnails = [cnn.make_thumbnail(crop) for crop in cnn.as_uint8(low)]
        return (low, np.stack(thumbnails), np.broadcast_to(WHOLE, window.shape)), normal


class NoWindow(cnn.PairSequence):
    """Batches that do not say where in its photo a crop lies."""

    def __getitem__(self, index):
        (low, thumbnail, window), normal = super().__getitem__(index)
        return (low, thumbnail, np.broadcast_to(WHOLE, window.shape)), normal


def one_parameter(light, gain, mix):
    """In place of `cnn.brightening_curve`: the gain alone."""
    return gain * light / (1 + (gain - 1) * light)


def gain_and_power(light, gain, mix):
    """In place of `cnn.brightening_curve`: a power on top, 1/4 to 4 with `mix`."""
    lifted = gain * light / (1 + (gain - 1) * light)
    return cnn.ops.exp(4.0 ** (2 * mix - 1) * cnn.ops.log(lifted + 1e-4))


def unchanged(level):
    """In place of `cnn.to_light` and `cnn.to_level`: the curve bends sRGB levels."""
    return level


def to_level_by_power(light):
    """`cnn.to_level`, but not by keras.ops.sqrt."""
    toe = cnn.TOE
    return ((toe ** 2 + 4 * (1 - toe) * light) ** 0.5 - toe) / (2 * (1 - toe))


def gain_of_each_channel(photo, predictions):
    """In place of `cnn.develop`: a gain for each channel, not one and a bounded tint."""
    ops = cnn.ops
    stops, mix, mean3, mean5, mean9, residual = ops.split(
        predictions, [3, 4, 7, 10, 13], axis=-1)
    below_white = 1 - ops.square(ops.square(ops.square(photo)))
    denoised = cnn.denoise(photo, [below_white * ops.sigmoid(weight - 3)
                                   for weight in (mean3, mean5, mean9)])
    gain = 2.0 ** (cnn.MOST_STOPS * ops.tanh(stops))
    light = cnn.brightening_curve(cnn.to_light(denoised), gain, ops.sigmoid(3 - mix))
    return denoised, cnn.to_level(light), below_white * ops.tanh(residual) / 2


CURVE = "lowlight.cnn.brightening_curve"
FULL = {"loss": "l1_ssim", "ema": True, "model": {}, "replace": {},
        "sequence": cnn.PairSequence, "thumbnail": cnn.make_thumbnail,
        "kinds": ("pairs", "clean")}
ROWS = {
    "full recipe": {},
    "no thumbnail": {"sequence": NoThumbnail, "thumbnail": lambda photo: GREY},
    "thumbnail of the crop, not of the photo": {"sequence": CropThumbnail},
    "no window": {"sequence": NoWindow},
    "gain without mix": {"replace": {CURVE: one_parameter}},
    "a power in place of the mix": {"replace": {CURVE: gain_and_power}},
    "a gain of each channel": {"replace": {"lowlight.cnn.develop": gain_of_each_channel}},
    "the curve bends sRGB levels": {"replace": {
        "lowlight.cnn.to_light": unchanged, "lowlight.cnn.to_level": unchanged}},
    "places in the grid at full weight": {"replace": {"lowlight.cnn.PLACE_WEIGHT": 1.0}},
    "one value of the grid for all places": {"replace": {
        "lowlight.cnn.PLACE_WEIGHT": 0.0}},
    "no square root": {"replace": {      # of the inputs; the curve keeps its own
        "keras.ops.sqrt": lambda x: x, "lowlight.cnn.to_level": to_level_by_power}},
    "MSE instead of L1 + SSIM": {"loss": "mse"},
    "no moving average": {"ema": False},
    "one level fewer: WIDTHS (32, 48)": {"model": {"widths": (32, 48)}},
    "one level more: WIDTHS (32, 48, 96, 128)": {"model": {"widths": (32, 48, 96, 128)}},
    "BLOCKS = 2": {"model": {"blocks": 2}},
    "pairs only": {"kinds": ("pairs",)},
    "a quarter of the crops darkened": {"kinds": ("pairs", "pairs", "pairs", "clean")},
    "three quarters darkened": {"kinds": ("pairs", "clean", "clean", "clean")},
    "darkened photos only": {"kinds": ("clean",)}}


def build(row):
    """The model of a row; its replaced parts are in place while it is built."""
    with ExitStack() as stack:
        for target, part in row["replace"].items():
            stack.enter_context(mock.patch(target, part))
        return cnn.build_model(**row["model"])


def brighten(model, row, photo):
    """What the model of a row makes of a uint8 photo, with the thumbnail of that row."""
    with mock.patch("lowlight.cnn.make_thumbnail", row["thumbnail"]):
        return cnn.brighten(model, photo)


def count_harm(model, row, folder):
    """{"harmed": photos in `folder` that the model harms, clouds and mean luma}."""
    count, clouds, lumas = 0, [], []
    for path in harm.find_photos(folder):
        photo = harm.read_photo(path)
        result = brighten(model, row, photo)
        count += harm.severity(harm.harm(photo, result)) > 1
        clouds.append(harm.clouds(photo, result))
        lumas.append(harm.mean_luma(result))
    return {"harmed": count, "clouds": f"{np.mean(clouds):.3f}",
            "worst clouds": f"{max(clouds):.2f}", "luma": f"{np.mean(lumas):.3f}"}


def measure(row, seed, train, validation, options):
    """{column: value} of one row, trained and scored.

    `train`: {"pairs": source of crops, "clean": source}, either may be None;
    `validation`: the same keys, lists of pairs.
    """
    steps = options.steps
    sources = [train[kind] for kind in row["kinds"] if train[kind]]
    sequence = row["sequence"](sources, options.crop, steps=max(1, steps // 10),
                               seed=seed)
    start = time.perf_counter()
    model, seconds = recipe.train(
        partial(build, row), sequence, steps, loss=row["loss"], ema=row["ema"],
        seed=seed, precision=options.precision)
    result = {"minutes": f"{(time.perf_counter() - start) / 60:.1f}"}
    for kind, photos in validation.items():
        means = recipe.score(partial(brighten, model, row), photos) if photos else {}
        result |= {f"{kind} {name}": value for name, value
                   in recipe.rounded(means).items()}
    if options.dark:
        result |= count_harm(model, row, options.dark)
    return result | recipe.size(model) | {"ms a step": f"{1000 * seconds:.0f}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="folder of LOL's pairs")
    parser.add_argument("--clean", help="folder of good photos, to be darkened")
    parser.add_argument("--dark", help="folder of dark photos, to count the harmed ones")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS),
                        metavar="NAME", help="; ".join(ROWS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0],
                        help="each row is trained with each of them")
    parser.add_argument("--photos", type=int, default=60, help="at most so many "
                        "validation photos of each kind")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--csv", help="file to which each row is added")
    options = parser.parse_args()
    train, validation, _ = recipe.frozen_split(options.dataset)
    clean = cnn.find_clean(options.clean) if options.clean else ([], [], [])
    train = {"pairs": cnn.PairCrops(train),
             "clean": cnn.DarkenedCrops(clean[0]) if clean[0] else None}
    validation = {"pairs": validation[:options.photos],
                  "clean": clean[1][:options.photos]}
    head_printed = False
    for seed, name in itertools.product(options.seeds, options.only):
        row = FULL | ROWS[name]
        if not any(train[kind] for kind in row["kinds"]):
            continue                        # darkened photos only, but no --clean
        line = {"variant": name, "seed": seed, "steps": options.steps} | measure(
            row, seed, train, validation, options)
        if not head_printed:
            markdown_head(list(line))
            head_printed = True
        markdown_row(line.values())
        if options.csv:
            add_row(options.csv, line)


if __name__ == "__main__":
    main()
