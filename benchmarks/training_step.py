#!/usr/bin/env python3
"""How near a training step comes to the machine's own matmul rate, and what data costs.

    python benchmarks/training_step.py [--steps 40] [--rounds 5] [--precision P]

The step is the notebook's, compiled by XLA. Everything is measured in one process, so
the ratios hold where the times do not. A step counts 6 floating-point operations per
multiply-accumulate of the network: forward, gradient of the activations, gradient of
the weights. The data is the sample set, half of the crops darkened anew each time, as
where CLEAN is set.
"""
import argparse
import tempfile

import numpy as np
import recipe
from common import markdown_head, markdown_row, matmul_rate
from recipe import cnn, keras, ops

CROP, BATCH_SIZE = 128, 8


class ReadyBatch(cnn.PairSequence):
    """Hands out one ready batch again and again: a step that waits for no data."""

    def __getitem__(self, index):
        if not hasattr(self, "batch"):
            self.batch = super().__getitem__(0)
        return self.batch


def step_seconds(model, sequence):
    """Mean seconds of a step over one epoch."""
    watch = recipe.Stopwatch()
    model.fit(sequence, epochs=1, shuffle=False, verbose=0, callbacks=[watch])
    return watch.mean()


def measure(loss, sources, steps, rounds):
    """[(matmul rate, seconds with a ready batch, with real data), ...] and FLOP a step.

    The three take turns, as the machine has slow and fast minutes.
    """
    model = cnn.build_model()
    flop = 6 * cnn.count_macs(model, CROP) * BATCH_SIZE
    recipe.compile_model(model, 1e-4, loss)
    kinds = [kind(sources, CROP, BATCH_SIZE, steps) for kind in (
        ReadyBatch, cnn.PairSequence)]
    table = [[matmul_rate(ops.matmul), *(step_seconds(model, kind) for kind in kinds)]
             for _ in range(rounds + 1)]
    return np.array(table[1:]), flop


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--losses", nargs="*", default=["mse", "l1_ssim"])
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    keras.config.set_dtype_policy(options.precision)
    markdown_head(["loss", "GFLOP/s", "of the matmul rate", "ms a step",
                   "waiting for data"])
    with tempfile.TemporaryDirectory() as folder:
        pairs = cnn.write_sample_pairs(folder, seed=0)
        sources = [cnn.PairCrops(pairs),
                   cnn.DarkenedCrops([pair._replace(low=None) for pair in pairs])]
        for loss in options.losses:
            rounds, flop = measure(loss, sources, options.steps, options.rounds)
            rate, ready, fed = rounds.T
            waiting = 1 - ready / fed
            markdown_row([
                loss, f"{np.median(flop / fed) / 1e9:.0f} of {np.median(rate) / 1e9:.0f}",
                f"{np.median(flop / fed / rate):.0%}", f"{1000 * np.median(fed):.0f}",
                f"{np.median(waiting):.1%} ({waiting.min():.0%} to {waiting.max():.0%})"])


if __name__ == "__main__":
    main()
