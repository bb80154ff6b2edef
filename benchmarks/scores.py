#!/usr/bin/env python3
"""Scores against the truth, beside the methods that do not learn.

    python benchmarks/scores.py unseen LOL          # 49 test photos of unseen scenes
    python benchmarks/scores.py known LOL           # 32 photos of scenes that are known
    python benchmarks/scores.py darkened FOLDER     # the test tenth of good photos

unseen: LOL's test photos of weights/split.json, whose scenes stage 1 has not seen; beside
the table, between which limits 95 % of the means lie if other scenes were drawn. known:
one photo of each scene that the split keeps away from stage 1 and that has several. The
released weights have not seen these photos, but other photos of their scenes, as is so for
14 of the 15 photos on which published numbers are measured. darkened: FOLDER as CLEAN of
the notebook; each photo is darkened in the same way every time. --weights: .keras or
.onnx files; by default those of stage 1 (unseen) or the released ones.
"""
import argparse
from functools import partial
from pathlib import Path

import numpy as np
import recipe
from common import RELEASED, STAGE1, add_row
from recipe import cnn

import lowlight
from lowlight import camera


def interval(values, scenes, draws=10_000, share=0.95):
    """(low, high) limits of the mean of `values` when whole `scenes` are drawn anew."""
    numbers = np.unique(scenes, return_inverse=True)[1]
    sums, sizes = np.bincount(numbers, values), np.bincount(numbers)
    drawn = np.random.default_rng(0).integers(0, len(sizes), (draws, len(sizes)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return np.quantile(means, [(1 - share) / 2, (1 + share) / 2])


def one_of_each(pairs, scene_of):
    """The middle photo, by name, of each scene among `pairs` that has two or more."""
    groups = {}
    for pair in pairs:
        groups.setdefault(scene_of[pair], []).append(pair)
    return [sorted(group, key=lambda pair: cnn.natural(pair.name))[len(group) // 2]
            for _, group in sorted(groups.items()) if len(group) > 1]


def split_known(train, apart):
    """(training, held out): one photo of each scene apart from `train`, and all others."""
    scene_of = dict(zip(apart, cnn.group_scenes(apart)))
    held = one_of_each(apart, scene_of)
    return train + [pair for pair in apart if pair not in held], held


def darkened(pair, kind):
    """(low, normal) of a good photo, darkened in one of the ways of `camera.KINDS`."""
    rng = np.random.default_rng(cnn.name_number(pair.name))
    return camera.darken(cnn.load_photo(pair.normal), rng, camera.draw_darkness(rng, kind))


def find_photos(options):
    """[(name, low, normal), ...] as the options ask for, and their scenes."""
    if options.photos_of == "darkened":
        pairs = cnn.find_clean(options.folder)[2][:options.photos]
        photos = [(pair.name, *darkened(pair, options.kind)) for pair in pairs]
    else:
        train, validation, test = recipe.frozen_split(options.folder)
        pairs = test if options.photos_of == "unseen" else split_known(
            train, validation + test)[1]
        pairs = pairs[:options.photos]
        photos = [(pair.name, *cnn.load_pair(pair)[:2]) for pair in pairs]
    return photos, cnn.group_scenes(pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos_of", choices=("unseen", "known", "darkened"))
    parser.add_argument("folder", help="LOL's pairs, or good photos")
    parser.add_argument("--weights", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--kind", default="even", choices=camera.KINDS,
                        help="of darkness; the truth of an uneven one is a choice")
    parser.add_argument("--photos", type=int, help="at most so many")
    parser.add_argument("--csv", help="file to which a row a photo and method is added")
    options = parser.parse_args()
    weights = options.weights or [STAGE1 if options.photos_of == "unseen" else RELEASED]
    methods = cnn.BASELINES | {str(path): partial(lowlight.enhance, lowlight.load(path))
                               for path in weights}
    photos, scenes = find_photos(options)
    rows = []
    for name, low, normal in photos:
        rows += [{"photo": name, "method": method, **cnn.scores(normal, function(low))}
                 for method, function in methods.items()]
    print(f"{len(photos)} photos of {len(set(scenes))} scenes\n\n{cnn.markdown_table(rows)}")
    for path in weights:
        values = [row["psnr"] for row in rows if row["method"] == str(path)]
        low, high = interval(values, scenes)
        print(f"\n95 % interval of the PSNR of {path}: {low:.1f} to {high:.1f} dB")
    if options.csv:
        for row in rows:
            add_row(options.csv, row)


if __name__ == "__main__":
    main()
