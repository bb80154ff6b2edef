#!/usr/bin/env python3
"""What each ingredient of the network is worth: same steps, one changed, validation dB.

    python benchmarks/ablation.py DATASET [--clean FOLDER] [--steps 2000]
                                  [--only NAME ...] [--csv FILE] [--precision P]

Each row trains from scratch on LOL's training pairs of weights/split.json, and, with
--clean, on photos of that folder, darkened, in every other crop. It is scored on whole
validation photos, LOL's and darkened ones; test photos are not looked at. The learning
rate follows a cosine over the steps, so that every row is a finished run.
"""
import argparse
from contextlib import ExitStack
from functools import partial
from unittest import mock

import numpy as np
import recipe
from common import add_row, markdown_head, markdown_row
from recipe import cnn, keras

from lowlight.cnn import layers

GREY = np.full((64, 64, 3), 0.06, np.float32)       # a thumbnail that says nothing


class NoThumbnail(cnn.PairSequence):
    """Batches with one thumbnail for all: the global branch is told nothing."""

    def __getitem__(self, index):
        (low, thumbnail), normal = super().__getitem__(index)
        return (low, np.broadcast_to(GREY, thumbnail.shape)), normal


class CropThumbnail(cnn.PairSequence):
    """Batches whose thumbnail shows the crop only, as if each tile were a photo."""

    def __getitem__(self, index):
        (low, _), normal = super().__getitem__(index)
        crops = cnn.as_uint8(low)
        return (low, np.stack([cnn.make_thumbnail(crop) for crop in crops])), normal


def transposed(x, width):
    """In place of `cnn.upsample`: a strided transposed convolution."""
    return layers.Conv2DTranspose(width, 2, strides=2)(x)


def unbounded_dense(units, activation=None, dense=layers.Dense, **options):
    """In place of Dense: no tanh bounds the vector, or a scale or shift made of it."""
    return dense(units, None if activation == "tanh" else activation, **options)


def curve_alone(model):
    """The model without `rest`: the photo through the curve, nothing added."""
    photo, padded = model.inputs[0], model.get_layer("pad").output
    gain = 64.0 ** model.get_layer("curve").output
    x = gain * padded / (1 + (gain - 1) * padded)
    return keras.Model(model.inputs, cnn.CropLike(dtype="float32")([x, photo]))


def plain_output(model):
    """The model without curve and `rest`: the last convolution makes the photo."""
    x = layers.Conv2D(3, 3, padding="same", dtype="float32", name="output")(
        model.get_layer("curve").input)
    return keras.Model(model.inputs, cnn.CropLike(dtype="float32")([x, model.inputs[0]]))


FULL = {"loss": "l1_ssim", "ema": True, "seed": 0, "model": {}, "replace": {},
        "change": None, "sequence": cnn.PairSequence, "thumbnail": None,
        "kinds": ("pairs", "clean")}
ROWS = {
    "full recipe": {},
    "no thumbnail": {"sequence": NoThumbnail, "thumbnail": GREY},
    "thumbnail of the crop, not of the photo": {"sequence": CropThumbnail},
    "no square root": {"replace": {"keras.ops.sqrt": lambda x: x}},
    "nothing added to the curve": {"change": curve_alone},
    "no curve, a plain output": {"change": plain_output},
    "strided transposed convolutions up": {"replace": {
        "lowlight.cnn.upsample": transposed}},
    "unbounded modulation": {"replace": {"keras.layers.Dense": unbounded_dense}},
    "MSE instead of L1 + SSIM": {"loss": "mse"},
    "no moving average": {"ema": False},
    "one level fewer: WIDTHS (32, 48, 64)": {"model": {"widths": (32, 48, 64)}},
    "one level more: WIDTHS (32, 48, 64, 96, 128)": {
        "model": {"widths": (32, 48, 64, 96, 128)}},
    "BLOCKS = 2": {"model": {"blocks": 2}},
    "pairs only": {"kinds": ("pairs",)},
    "darkened photos only": {"kinds": ("clean",)},
    "full recipe, seed 1": {"seed": 1},
    "full recipe, seed 2": {"seed": 2}}


def build(row):
    """The model of a row; its replaced parts are in place while it is built."""
    with ExitStack() as stack:
        for target, part in row["replace"].items():
            stack.enter_context(mock.patch(target, part))
        model = cnn.build_model(**row["model"])
    return row["change"](model) if row["change"] else model


def measure(row, train, validation, steps, precision):
    """{column: value} of one row, trained and scored.

    `train` and `validation`: {"pairs": [...], "clean": [...]}, either may be empty.
    """
    pairs, clean = (train[kind] if kind in row["kinds"] else []
                    for kind in ("pairs", "clean"))
    sequence = row["sequence"](pairs, clean, steps=max(1, steps // 10), seed=row["seed"])
    model, seconds = recipe.train(partial(build, row), sequence, steps, loss=row["loss"],
                                  ema=row["ema"], seed=row["seed"], precision=precision)
    result = {}
    for kind, photos in validation.items():
        means = recipe.score(lambda low: recipe.brighten(
            model, low, row["thumbnail"]), photos) if photos else {}
        result |= {f"{kind} {name}": value for name, value
                   in recipe.rounded(means).items()}
    return result | recipe.size(model) | {"ms a step": f"{1000 * seconds:.0f}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="folder of LOL's pairs")
    parser.add_argument("--clean", help="folder of good photos, to be darkened")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS),
                        metavar="NAME", help="; ".join(ROWS))
    parser.add_argument("--photos", type=int, default=60, help="at most so many "
                        "validation photos of each kind")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--csv", help="file to which each row is added")
    options = parser.parse_args()
    train, validation, _ = recipe.frozen_split(options.dataset)
    clean = cnn.find_clean(options.clean) if options.clean else ([], [], [])
    train = {"pairs": train, "clean": clean[0]}
    validation = {"pairs": validation[:options.photos],
                  "clean": clean[1][:options.photos]}
    for number, name in enumerate(options.only):
        row = FULL | ROWS[name]
        if not any(train[kind] for kind in row["kinds"]):
            continue                        # darkened photos only, but no --clean
        line = {"variant": name, "steps": options.steps} | measure(
            row, train, validation, options.steps, options.precision)
        if number == 0:
            markdown_head(list(line))
        markdown_row(line.values())
        if options.csv:
            add_row(options.csv, line)


if __name__ == "__main__":
    main()
