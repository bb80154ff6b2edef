#!/usr/bin/env python3
"""What it is worth to have trained on another photo of the scene: the leak, measured.

    python benchmarks/known_scenes.py DATASET [--weights FILE] [--steps 12000] [--control]

Of every scene that the first stage of weights/README.md kept away from training and that
has several photos, one photo is held out. The weights of that stage score it as a photo of
an unseen scene; then they go on training with all other pairs, in which the scene's other
photos are, and score it again. LOL's usual test photos are of the second kind, 14 of 15.
With --control the other photos of those scenes stay away as well: what is gained then comes
from the further steps and pairs.
"""
import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import keras  # noqa: E402
from ablation import validate  # noqa: E402

import lowlight as ll  # noqa: E402


def one_of_each(pairs, scenes):
    """The middle photo, by name, of each scene among `pairs` that has two or more."""
    groups = {}
    for pair, scene in zip(pairs, scenes, strict=True):
        groups.setdefault(scene, []).append(pair)
    return [sorted(group, key=lambda pair: (len(pair.name), pair.name))[len(group) // 2]
            for _, group in sorted(groups.items()) if len(group) > 1]


class Score(keras.callbacks.Callback):
    """Prints the scores of the photos held out as training goes on."""

    def __init__(self, store, every):
        super().__init__()
        self.store, self.every = store, every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            model = ll.with_precision(self.model, "float32")
            say(f"{epoch + 1} epochs more", model, self.store)


def say(label, model, store):
    """One line with the mean scores of `model` on the photos of `store`."""
    values = validate(model, store)
    print(f"{label}: {values[0]:.2f} dB, SSIM {values[1]:.3f}, GT-mean {values[2]:.2f} dB",
          flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--weights", default=ROOT / "weights/stage1.keras")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--control", action="store_true")
    options = parser.parse_args()
    pairs = ll.find_pairs(options.dataset)
    scene_of = dict(zip(pairs, ll.group_scenes(pairs)))
    _, validation, test = ll.split_pairs(pairs)
    apart = validation + test
    held = one_of_each(apart, [scene_of[pair] for pair in apart])
    away = {scene_of[pair] for pair in held}
    train = [pair for pair in pairs if pair not in held
             and not (options.control and scene_of[pair] in away)]
    store = ll.PhotoStore(held)
    model = ll.load_model(options.weights)
    say(f"{len(held)} photos, their scenes unseen", model, store)
    length, rate = 1000, 6e-4
    epochs = options.steps // length
    model = ll.with_precision(model, "mixed_bfloat16")
    keras.utils.set_random_seed(0)
    model.compile(loss=ll.l1_ssim, optimizer=keras.optimizers.Adam(
        rate, global_clipnorm=1.0, use_ema=True, ema_momentum=1 - 2 / length))
    model.fit(ll.PairSequence(train, 128, 8, length, 0, gamma=(0.8, 1.25)), epochs=epochs,
              shuffle=False, verbose=0, callbacks=[
                  keras.callbacks.SwapEMAWeights(swap_on_epoch=True), Score(store, 2),
                  keras.callbacks.LearningRateScheduler(ll.cosine(epochs, rate)),
                  ll.WarmUp(200), ll.KeepMemory()])


if __name__ == "__main__":
    main()
