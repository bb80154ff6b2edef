"""What the benchmarks that train share: the frozen split, a short training, scores."""
import json
import time
from pathlib import Path

import numpy as np
from common import SPLIT

from lowlight import cnn

keras, ops = cnn.keras, cnn.ops


def frozen_split(folder):
    """(training, validation, test) pairs of the LOL folder, as weights/split.json says.

    The same photos for every network, whatever a later `split_pairs` would draw.
    """
    pairs = {Path(pair.name).name: pair for pair in cnn.find_pairs(folder)}
    parts = json.loads(SPLIT.read_text(encoding="utf-8"))
    missing = sorted(set().union(*parts.values()) - pairs.keys(), key=cnn.natural)
    if missing:
        raise ValueError(f"{folder}: lacks {len(missing)} pairs of {SPLIT}, such as "
                         f"{missing[0]}; give the folder of LOL's 485 pairs")
    return [[pairs[name] for name in parts[part]]
            for part in ("training", "validation", "test")]


def cosine_rate(steps, rate):
    """A learning rate that rises to `rate` for a tenth of the steps, then falls to 1 %."""
    warmup = max(1, min(200, steps // 10))
    return keras.optimizers.schedules.CosineDecay(
        rate / 100, max(1, steps - warmup), alpha=0.01, warmup_target=rate,
        warmup_steps=warmup)


class Stopwatch(keras.callbacks.Callback):
    """Seconds a step, without the first two, which compile."""

    def on_train_begin(self, logs=None):
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == 2:
            self.start = time.perf_counter()
        self.now = time.perf_counter()

    def mean(self):
        """Mean seconds of a step; nan below three."""
        return (self.now - self.start) / (self.steps - 2) if self.steps > 2 else np.nan


def train(build, sequence, steps, rate=5e-4, loss="l1_ssim", ema=True, seed=0,
          precision="float32", callbacks=()):
    """(model in float32, seconds a step) after one training with a cosine rate.

    `build`: makes the model; called again in float32 for the scores. `sequence`: its
    length is that of an epoch, of which `steps` should be a multiple.
    """
    watch, epochs = Stopwatch(), max(1, steps // len(sequence))
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    model = build()
    cnn.compile_model(model, loss, cosine_rate(steps, rate), average=len(sequence))
    if not ema:
        model.optimizer.use_ema = False
    model.fit(sequence, epochs=epochs, shuffle=False, verbose=0,
              callbacks=[*callbacks, watch])
    return in_float32(model, build), watch.mean()


def in_float32(model, build):
    """The weights of `model` in what `build` makes in float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    made = build()
    made.set_weights(model.get_weights())
    keras.config.set_dtype_policy(policy)
    return made


def score(method, pairs):
    """{"psnr", "ssim", "psnr_gt_mean"}: means of a function (low) -> bright."""
    return cnn.summarise(cnn.evaluate({"": method}, pairs))[""]


def rounded(means):
    """The means of `score` as they are printed."""
    return {name: f"{value:.3f}" if name == "ssim" else f"{value:.2f}"
            for name, value in means.items()}


def size(model):
    """{"parameters", "gmac"} of a model not compiled, for one photo of 256 x 256."""
    return {"parameters": model.count_params(),
            "gmac": f"{cnn.count_macs(model) / 1e9:.2f}"}
