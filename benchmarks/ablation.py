#!/usr/bin/env python3
"""What each ingredient of the network is worth: same steps, one of them off, validation dB.

    python benchmarks/ablation.py DATASET [--steps 2000] [--only NAME ...] [--csv FILE]

Each row trains from scratch on the training pairs of the scene-disjoint split and is scored
on whole validation photos; test photos are not looked at. The learning rate follows a
cosine over the steps, so that every row is a finished run.
"""
import argparse
import csv
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers, ops  # noqa: E402

import lowlight as ll  # noqa: E402

FULL = {"loss": "l1_ssim", "gamma": (0.8, 1.25), "ema": True, "seed": 0, "model": {}}


class NoThumbnail(ll.PairSequence):
    """Batches whose thumbnail is the mean of all: the global branch is told nothing."""

    def __getitem__(self, index):
        (low, thumbnail), normal = super().__getitem__(index)
        return (low, np.full_like(thumbnail, 0.06)), normal


class CropThumbnail(ll.PairSequence):
    """Batches whose thumbnail shows the crop only, as if each tile were a photo."""

    def __getitem__(self, index):
        (low, _), normal = super().__getitem__(index)
        crops = (low * 255).round().astype(np.uint8)
        return (low, np.stack([ll.make_thumbnail(crop) for crop in crops])), normal


class OnlyPhoto(ll.SpreadShadows):
    """In place of SpreadShadows: the photo twice, without its square root."""

    def call(self, photo):
        return ops.concatenate([photo, photo], axis=-1)


def nothing_at_full_size(photo, thumbnail, x):
    """In place of `finish`: after the last step up, one 1x1 convolution to RGB."""
    x = layers.Conv2D(3, 1, dtype="float32", name="output")(x)
    x = ll.CropLike(dtype="float32", name="crop")([x, photo])
    return keras.Model([photo, thumbnail], x, name="lowlight")


ROWS = {
    "full recipe": {},
    "no thumbnail": {"sequence": NoThumbnail, "thumbnail": lambda low: np.full(
        (64, 64, 3), 0.06, np.float32)},
    "thumbnail of the crop, not of the photo": {"sequence": CropThumbnail},
    "no square root of the photo": {"patch": {"SpreadShadows": OnlyPhoto}},
    "no 3x3 convolutions at full size": {"patch": {"finish": nothing_at_full_size}},
    "MSE instead of L1 + SSIM": {"loss": "mse"},
    "no random gamma": {"gamma": (1.0, 1.0)},
    "no moving average": {"ema": False},
    "one level fewer: WIDTHS (32, 48, 64)": {"model": {"widths": (32, 48, 64)}},
    "one level more: WIDTHS (32, 48, 64, 96, 128)": {
        "model": {"widths": (32, 48, 64, 96, 128)}},
    "BLOCKS = 2": {"model": {"blocks": 2}},
    "full recipe, seed 1": {"seed": 1},
    "full recipe, seed 2": {"seed": 2},
    "one level more, seed 1": {"model": {"widths": (32, 48, 64, 96, 128)}, "seed": 1},
    "one level more, seed 2": {"model": {"widths": (32, 48, 64, 96, 128)}, "seed": 2}}


def build(row):
    """The model of a row, with the replaced parts in place while it is built."""
    patch = row.get("patch", {})
    saved = {name: getattr(ll, name) for name in patch}
    for name, part in patch.items():
        setattr(ll, name, part)
    keras.utils.set_random_seed(row["seed"])
    model = ll.build_model(**row["model"])
    for name, part in saved.items():
        setattr(ll, name, part)
    return model


def validate(model, store, thumbnail=None):
    """Mean PSNR, SSIM and PSNR with GT-mean over the whole photos of a PhotoStore."""
    rows = []
    for index in range(len(store.pairs)):
        low, normal, whole = store[index]
        image = ll.as_uint8(ll.predict(model, low, thumbnail(low) if thumbnail else whole))
        rows.append(list(ll.scores(normal, image).values()))
    return np.mean(rows, axis=0)


def train(row, pairs, steps, rate=1e-3, epochs=10):
    """A model trained as `row` says; returns it and the seconds of a step."""
    model = build(row)
    length = steps // epochs
    sequence = row.get("sequence", ll.PairSequence)(
        pairs, 128, 8, length, row["seed"], gamma=row["gamma"])
    model.compile(loss=ll.LOSSES[row["loss"]], optimizer=keras.optimizers.Adam(
        rate, global_clipnorm=1.0, use_ema=row["ema"], ema_momentum=1 - 2 / length))
    callbacks = [keras.callbacks.LearningRateScheduler(ll.cosine(epochs, rate)),
                 ll.WarmUp(200), ll.KeepMemory()]
    if row["ema"]:
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    start = time.perf_counter()
    model.fit(sequence, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    return model, (time.perf_counter() - start) / steps


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=list(ROWS))
    parser.add_argument("--csv", default="ablation.csv")
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    keras.config.set_dtype_policy(options.precision)
    pairs, validation, _ = ll.split_pairs(ll.find_pairs(options.dataset))
    store = ll.PhotoStore(validation)
    for name in options.only:
        row = FULL | ROWS[name]
        model, seconds = train(row, pairs, options.steps)
        with keras.saving.custom_object_scope({"OnlyPhoto": OnlyPhoto}):
            model = ll.with_precision(model, "float32")
        psnr, ssim, gt_mean = validate(model, store, row.get("thumbnail"))
        line = {"row": name, "steps": options.steps, "psnr": f"{psnr:.2f}",
                "ssim": f"{ssim:.3f}", "psnr_gt_mean": f"{gt_mean:.2f}",
                "parameters": model.count_params(), "gmac": f"{ll.count_macs(model) / 1e9:.2f}",
                "ms_a_step": round(seconds * 1e3)}
        with open(options.csv, "a", newline="") as file:
            table = csv.DictWriter(file, line)
            if file.tell() == 0:
                table.writeheader()
            table.writerow(line)
        print(line, flush=True)


if __name__ == "__main__":
    main()
