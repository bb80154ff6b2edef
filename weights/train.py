#!/usr/bin/env python3
r"""Train the released weights: stage 1, stage 2, and the LOL specialist.

    export PYTHONPATH=.
    python weights/train.py 1 --lol LOL --clean FOLDER --dark FOLDER --steps 40000 \
        --batch 16 --crop 96 --pairs 3
    python weights/train.py 2 --start runs/weights/1-40000.keras ...
    python weights/train.py lol --start runs/weights/2-10000.keras ...

Stage 1 learns from LOL's training pairs of split.json and from good photos, darkened; it
has seen no scene of LOL's validation and test photos. Stage 2 goes on with all pairs but
32 (benchmarks/scores.py, known). The specialist goes on with the pairs alone. Each time it
scores, the averaged weights are written to runs/weights/STAGE-STEPS.keras, and a row of
validation goes to runs/weights/history.csv: PSNR and SSIM on LOL and on darkened photos,
and clouds and mean luma on twelve real dark photos. The learning rate follows a cosine.
weights/README.md says with which options the released weights were trained.
"""
import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
import harm
import recipe
from common import add_row
from recipe import cnn, keras
from scores import darkened, split_known


GAIN_SHARE = 0.25       # of the loss: stops by which the gain changes in flat places
FLAT_STOPS = 0.15       # what the dark photo may change by in 16 pixels to be flat


def stops_of_places(photos):
    """Blurred luma of photos (B, H, W, 3) in [0, 1], in stops: a place each 8 pixels."""
    luma = keras.ops.image.rgb_to_grayscale(photos)
    means = keras.ops.average_pool(luma, pool_size=16, strides=8)
    # As of harm.clouds: three levels more, for the sake of noise; level ** 2.2 is light.
    return 2.2 / np.log(2) * keras.ops.log(255 * keras.ops.relu(means) + 3)


def differences(places):
    """Of (B, H, W, 1): between places 16 pixels apart, down and across."""
    return places[:, 2:] - places[:, :-2], places[:, :, 2:] - places[:, :, :-2]


class EvenGain(keras.Model):
    """A model that pays for a gain that changes where the dark photo is flat: clouds."""

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        before, after = stops_of_places(x[0]), stops_of_places(y_pred)
        for slope, change in zip(differences(before), differences(after - before)):
            flat = keras.ops.exp(-keras.ops.square(slope / FLAT_STOPS))
            loss += GAIN_SHARE * keras.ops.mean(flat * keras.ops.abs(change))
        return loss


class Score(keras.callbacks.Callback):
    """At the end of each epoch: saves the weights and adds a row to history.csv."""

    def __init__(self, options, pairs, clean):
        super().__init__()
        self.options, self.start, self.steps = options, time.time(), 0
        self.folder = Path("runs/weights")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sets = {"lol": [cnn.load_pair(pair)[:2] for pair in pairs]}
        for kind in ("even", "uneven"):
            self.sets[kind] = [darkened(pair, kind) for pair in clean]
        dark = harm.find_photos(options.dark)
        self.dark = [harm.read_photo(path) for path in dark[::max(1, len(dark) // 12)][:12]]

    def on_epoch_end(self, epoch, logs=None):
        self.steps += self.params["steps"]
        model = recipe.in_float32(self.model, cnn.build_model)
        model.save(self.folder / f"{self.options.stage}-{self.steps}.keras")
        row = {"stage": self.options.stage, "steps": self.steps,
               "minutes": round((time.time() - self.start) / 60, 1),
               "loss": round(logs["loss"], 5)}
        for name, photos in self.sets.items():
            scores = [cnn.scores(normal, cnn.brighten(model, low)) for low, normal in photos]
            for score in ("psnr", "ssim"):
                row[f"{name} {score}"] = f"{np.mean([one[score] for one in scores]):.4f}"
        results = [cnn.brighten(model, photo) for photo in self.dark]
        clouds = [harm.clouds(*both) for both in zip(self.dark, results)]
        luma = np.mean([harm.mean_luma(photo) for photo in results])
        row |= {"clouds": f"{np.mean(clouds):.4f}", "worst clouds": f"{max(clouds):.3f}",
                "luma": f"{luma:.4f}"}
        add_row(self.folder / "history.csv", row)
        print(row, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=("1", "2", "lol"))
    parser.add_argument("--lol", required=True, help="folder of LOL's 485 pairs")
    parser.add_argument("--clean", required=True, help="folder of good photos")
    parser.add_argument("--dark", required=True, help="folder of real dark photos")
    parser.add_argument("--start", help=".keras file to start from")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=1, help="turns of the pairs to one of "
                        "the darkened photos")
    parser.add_argument("--every", type=int, default=2000, help="steps between two scores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="float32", help="mixed_bfloat16 is faster "
                        "where the processor has AMX")
    options = parser.parse_args()
    options.every = min(options.every, options.steps)
    train, validation, test = recipe.frozen_split(options.lol)
    if options.stage != "1":
        train, validation = split_known(train, validation + test)
    clean = cnn.find_clean(options.clean)
    pairs = cnn.PairCrops(train)
    sources = [pairs] * options.pairs + [cnn.DarkenedCrops(clean[0])]
    if options.stage == "lol":
        sources = [pairs]
    sequence = cnn.PairSequence(sources, options.crop, options.batch, options.every,
                                options.seed, workers=2)
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.precision)
    model = cnn.build_model()
    model = EvenGain(model.inputs, model.outputs[0], name=model.name)
    if options.start:
        model.set_weights(cnn.load_model(options.start).get_weights())
    model.compile(loss=cnn.l1_ssim, jit_compile=False, optimizer=keras.optimizers.Adam(
        recipe.cosine_rate(options.steps, options.rate), global_clipnorm=1.0,
        use_ema=True, ema_momentum=0.999))
    model.fit(sequence, epochs=options.steps // options.every, shuffle=False, verbose=0,
              callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
                         Score(options, validation[::2], clean[1][::4])])


if __name__ == "__main__":
    main()
