#!/usr/bin/env python3
"""How near a training step comes to the machine's own matmul rate, and what data costs.

    python benchmarks/training_step.py [--steps 40] [--rounds 5]

Everything is measured in one process, so the ratios hold where the times do not. A step
counts 6 floating-point operations per multiply-accumulate of the network: forward,
gradient of the activations, gradient of the weights.
"""
import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402

import lowlight as ll  # noqa: E402


def matmul_rate(side=2048, repeats=8):
    """Floating-point operations a second of a side^3 float32 product, the best of some."""
    a = ops.convert_to_tensor(np.random.default_rng(0).random((side, side), np.float32))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(ops.matmul(a, a))
        times.append(time.perf_counter() - start)
    return 2 * side ** 3 / min(times)


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def on_train_begin(self, logs=None):
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.perf_counter() - self.start)


class SameBatch(ll.PairSequence):
    """Hands out one ready batch again and again: a step that waits for no data."""

    def __getitem__(self, index):
        if not hasattr(self, "batch"):
            self.batch = super().__getitem__(0)
        return self.batch


def step_seconds(model, sequence):
    """Mean seconds of a step over one epoch."""
    clock = Clock()
    model.fit(sequence, epochs=1, shuffle=False, verbose=0, callbacks=[ll.KeepMemory(), clock])
    return clock.epochs[0] / len(sequence)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(ll.describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        pairs = ll.write_sample_pairs(folder, seed=0)
        for loss in ("mse", "l1_ssim"):
            model = ll.build_model()
            model.compile(loss=ll.LOSSES[loss], optimizer=keras.optimizers.Adam(
                1e-4, global_clipnorm=1.0, use_ema=True))
            flop = 6 * ll.count_macs(model, 128) * 8
            kinds = [kind(pairs, steps=options.steps, gamma=(0.8, 1.25))
                     for kind in (SameBatch, ll.PairSequence)]
            rounds = np.array([     # in turn, as the machine has slow and fast minutes
                [matmul_rate(), *(step_seconds(model, sequence) for sequence in kinds)]
                for _ in range(options.rounds + 1)])[1:]
            rate, alone, fed = np.median(rounds, axis=0)
            share = np.median(flop / rounds[:, 2] / rounds[:, 0])
            waiting = 1 - np.median(rounds[:, 1] / rounds[:, 2])
            print(f"{loss}: {flop / fed / 1e9:.0f} of {rate / 1e9:.0f} GFLOP/s, {share:.0%} of "
                  f"the matmul rate; {1000 * fed:.0f} ms a step, {1000 * alone:.0f} ms without "
                  f"data: waiting {waiting:.1%} (rounds: "
                  + ", ".join(f"{1 - one / two:.0%}" for _, one, two in rounds) + ")")


if __name__ == "__main__":
    main()
