#!/usr/bin/env python3
"""What each ingredient of the network is worth: same steps, one changed, validation dB.

    python benchmarks/ablation.py DATASET [--clean FOLDER] [--steps 2000]
                                  [--dark FOLDER] [--crop 128] [--only NAME ...]
                                  [--csv FILE] [--precision P]

Each row trains from scratch on LOL's training pairs of weights/split.json, and, with
--clean, on photos of that folder, darkened, in every other crop. It is scored on whole
validation photos, LOL's and darkened ones; test photos are not looked at. With --dark,
the photos of that folder that come out harmed are counted, as wild.py does. The learning
rate follows a cosine over the steps, so that every row is a finished run.
"""
import argparse
import time
from contextlib import ExitStack
from functools import partial
from unittest import mock

import numpy as np
import recipe
import wild
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


def capped_dense(units, activation=None, dense=layers.Dense, **options):
    """In place of Dense: the vector is clipped to [-2, 2], scales and shifts are free."""
    capped = dense(units, None if activation == "tanh" else activation, **options)
    return (lambda x: cnn.ops.clip(capped(x), -2, 2)) if "name" in options else capped


def nothing_added(model):
    """The model whose `rest` stays at its start, zero: the photo through the curve."""
    model.get_layer("rest").trainable = False
    return model


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
    "nothing added to the curve": {"change": nothing_added},
    "no curve, a plain output": {"change": plain_output},
    "strided transposed convolutions up": {"replace": {
        "lowlight.cnn.upsample": transposed}},
    "unbounded modulation": {"replace": {"keras.layers.Dense": unbounded_dense}},
    "vector capped at 2": {"replace": {"keras.layers.Dense": capped_dense}},
    "MSE instead of L1 + SSIM": {"loss": "mse"},
    "no moving average": {"ema": False},
    "one level fewer: WIDTHS (32, 48, 64)": {"model": {"widths": (32, 48, 64)}},
    "one level more: WIDTHS (32, 48, 64, 96, 128)": {
        "model": {"widths": (32, 48, 64, 96, 128)}},
    "BLOCKS = 2": {"model": {"blocks": 2}},
    "pairs only": {"kinds": ("pairs",)},
    "a quarter of the crops darkened": {"kinds": ("pairs", "pairs", "pairs", "clean")},
    "three quarters darkened": {"kinds": ("pairs", "clean", "clean", "clean")},
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


def harmed(model, row, folder):
    """How many of the photos in `folder` the model harms."""
    count = 0
    for path in wild.find_photos(folder):
        photo = wild.read_photo(path)
        result = recipe.brighten(model, photo, row["thumbnail"])
        count += wild.severity(wild.harm(photo, result)) > 1
    return count


def measure(row, train, validation, options):
    """{column: value} of one row, trained and scored.

    `train` and `validation`: {"pairs": [...], "clean": [...]}, either may be empty.
    """
    steps = options.steps
    sequence = row["sequence"](train["pairs"], train["clean"], options.crop,
                               steps=max(1, steps // 10), seed=row["seed"])
    sequence.kinds = [train[kind] for kind in row["kinds"] if train[kind]]
    start = time.perf_counter()
    model, seconds = recipe.train(
        partial(build, row), sequence, steps, loss=row["loss"], ema=row["ema"],
        seed=row["seed"], precision=options.precision)
    result = {"minutes": f"{(time.perf_counter() - start) / 60:.1f}"}
    for kind, photos in validation.items():
        means = recipe.score(lambda low: recipe.brighten(
            model, low, row["thumbnail"]), photos) if photos else {}
        result |= {f"{kind} {name}": value for name, value
                   in recipe.rounded(means).items()}
    if options.dark:
        result["harmed"] = harmed(model, row, options.dark)
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
            row, train, validation, options)
        if number == 0:
            markdown_head(list(line))
        markdown_row(line.values())
        if options.csv:
            add_row(options.csv, line)


if __name__ == "__main__":
    main()
