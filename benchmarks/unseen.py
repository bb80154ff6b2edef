#!/usr/bin/env python3
"""LOL's test photos of weights/split.json, whose scenes stage 1 has not seen: scores.

    python benchmarks/unseen.py DATASET [--weights FILE]

Beside the table: between which limits 95 % of the means lie if other scenes were drawn,
by a bootstrap over scenes. Without --weights: those of stage 1; the released ones have
seen these photos.
"""
import argparse
from functools import partial

import numpy as np
import recipe
from common import STAGE1
from recipe import cnn


def interval(values, scenes, draws=10_000, share=0.95):
    """(low, high) limits of the mean of `values` when whole `scenes` are drawn anew."""
    numbers = np.unique(scenes, return_inverse=True)[1]
    sums, sizes = np.bincount(numbers, values), np.bincount(numbers)
    drawn = np.random.default_rng(0).integers(0, len(sizes), (draws, len(sizes)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return np.quantile(means, [(1 - share) / 2, (1 + share) / 2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="folder of LOL's pairs")
    parser.add_argument("--weights", default=STAGE1)
    options = parser.parse_args()
    test, model = recipe.frozen_split(options.dataset)[2], cnn.load_model(options.weights)
    scenes = cnn.group_scenes(test)
    rows = cnn.evaluate(cnn.BASELINES | {"CNN": partial(cnn.brighten, model)}, test)
    values = [row["psnr"] for row in rows if row["method"] == "CNN"]
    print(f"{len(test)} photos of {len(set(scenes))} scenes\n\n{cnn.markdown_table(rows)}\n\n"
          "95 % interval of the CNN's PSNR: {:.1f} to {:.1f} dB".format(
              *interval(values, scenes)))


if __name__ == "__main__":
    main()
