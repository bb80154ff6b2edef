#!/usr/bin/env python3
"""What it is worth to have trained on another photo of the scene: the leak, measured.

    python benchmarks/known_scenes.py DATASET [--weights FILE] [--steps 12000]
                                      [--control]

Of every scene that weights/split.json keeps away from training and that has several
photos, one photo is held out. The weights of stage 1 score it as a photo of an unseen
scene; then they go on training with all other pairs, in which the scene's other photos
are, and score it again. LOL's usual test photos are of the second kind, 14 of 15. With
--control the other photos of those scenes stay away as well: what is gained then comes
from the further steps and pairs. The released weights have not seen the photos held
out either: --weights lowlight/weights/lowlight.keras --steps 0 scores them.
"""
import argparse
from functools import partial

import recipe
from common import STAGE1, markdown_head, markdown_row
from recipe import cnn, keras


def one_of_each(pairs, scene_of):
    """The middle photo, by name, of each scene among `pairs` that has two or more."""
    groups = {}
    for pair in pairs:
        groups.setdefault(scene_of[pair], []).append(pair)
    return [sorted(group, key=lambda pair: cnn.natural(pair.name))[len(group) // 2]
            for _, group in sorted(groups.items()) if len(group) > 1]


def split_known(train, apart, control=False):
    """(training, held out): one photo of each scene apart from `train`, else all pairs.

    `control`: the other photos of those scenes stay away as well.
    """
    scene_of = dict(zip(apart, cnn.group_scenes(apart)))
    held = one_of_each(apart, scene_of)
    known = {scene_of[pair] for pair in held}
    others = [pair for pair in apart if pair not in held
              and not (control and scene_of[pair] in known)]
    return train + others, held


def say(label, model, pairs):
    """One row with the mean scores of `model` on `pairs`."""
    means = recipe.score(partial(cnn.brighten, model), pairs)
    markdown_row([label, *recipe.rounded(means).values()])


class Score(keras.callbacks.Callback):
    """Scores the photos held out, every `every` epochs and after the last."""

    def __init__(self, pairs, build, every):
        super().__init__()
        self.pairs, self.build, self.every = pairs, build, every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            say(f"after {int(self.model.optimizer.iterations)} steps",
                recipe.in_float32(self.model, self.build), self.pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="folder of LOL's pairs")
    parser.add_argument("--weights", default=STAGE1)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--photos", type=int, help="at most so many held out")
    parser.add_argument("--control", action="store_true")
    options = parser.parse_args()
    train, validation, test = recipe.frozen_split(options.dataset)
    train, held = split_known(train, validation + test, options.control)
    held, build = held[:options.photos], partial(cnn.load_model, options.weights)
    markdown_head([f"the same {len(held)} photos", "PSNR (dB)", "SSIM", "GT-mean (dB)"])
    say("as they are", build(), held)
    if not options.steps:
        return
    sequence = cnn.PairSequence([cnn.PairCrops(train)], steps=min(1000, options.steps))
    recipe.train(build, sequence, options.steps, rate=6e-4, callbacks=[
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True), Score(held, build, every=2)])


if __name__ == "__main__":
    main()
