#!/usr/bin/env python3
"""Kills a training with SIGKILL at random times, resumes it, and compares.

    python benchmarks/kills.py [--times 10] [--seed 0]

The notebook's `train` runs in a process of its own, on the sample set and with a small
network. A run that was killed once and resumed must end with the history and the weights
of the run that nobody touched, within 1e-4.
"""
import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lowlight import cnn

EPOCHS = 12
COLUMNS = ["epoch", "loss", "val_loss", "val_psnr", "learning_rate"]
LIMIT = 1e-4            # of the difference of any number in history or weights


def train(folder):
    """Train into `folder`, or go on where a run in it was cut off."""
    keras = cnn.keras
    keras.utils.set_random_seed(0)
    pairs = cnn.find_pairs(folder.parent / "sample")
    train_pairs, validation, _ = cnn.split_pairs(pairs)
    batches = cnn.PairSequence(cnn.crop_sources(train_pairs), 64, 8, steps=5)
    slow_down = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1)
    snapshots = cnn.Snapshots([validation[0], validation[-1]], folder / "snapshots")
    model = cnn.build_model((8, 16))
    cnn.compile_model(model, rate=1e-3, average=5)
    cnn.train(model, batches, validation, folder, EPOCHS, slow_down, patience=EPOCHS,
              callbacks=[snapshots, cnn.LiveCurves(folder, snapshots)], resume=True)


@contextlib.contextmanager
def training(folder):
    """A process that trains into `folder`, leader of its own group; killed at the end.

    The sample set that all runs share lies beside the folder.
    """
    folder.mkdir(exist_ok=True)
    with open(folder / "log.txt", "a") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, "--train", folder], stdout=log,
            stderr=log, start_new_session=True, env=os.environ | {"MPLBACKEND": "agg"})
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):       # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def epochs_done(folder):
    """The number of epochs in the history of a run."""
    path = folder / "history.csv"
    return max(0, len(path.read_text().splitlines()) - 1) if path.exists() else 0


def result(folder):
    """The history and the weights that a run left, a list of arrays."""
    history = cnn.read_history(folder / "history.csv")
    return [np.stack([history[name] for name in COLUMNS], axis=1),
            *cnn.load_model(folder / "model.keras").get_weights()]


def difference(one, other):
    """The largest difference of two results; infinite where the lengths differ."""
    if len(one[0]) != len(other[0]):
        return np.inf
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


def finish(process, folder):
    """Wait for the end of a run, which must succeed."""
    if process.wait():
        raise RuntimeError((folder / "log.txt").read_text().strip()[-3000:])


def kill_and_resume(folder, delay, expected):
    """(epochs done when it was killed, difference at the end, what went wrong).

    `delay`: seconds after which it is killed; None if it had ended by itself by then.
    """
    with training(folder) as process:
        time.sleep(delay)
    if process.returncode != -signal.SIGKILL:
        return None
    epochs = epochs_done(folder)
    try:
        with training(folder) as process:
            finish(process, folder)
    except RuntimeError as error:
        return epochs, np.inf, str(error).splitlines()[-1]
    return epochs, difference(expected, result(folder)), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:                       # in a process that will be killed
        return train(options.train)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # `training` cleans up
    rng, differences = np.random.default_rng(options.seed), []
    with tempfile.TemporaryDirectory() as root:
        cnn.write_sample_pairs(Path(root, "sample"), seed=0)
        whole = Path(root, "whole")
        begin = time.perf_counter()
        with training(whole) as process:
            while not epochs_done(whole) and process.poll() is None:
                time.sleep(0.01)
            first = time.perf_counter() - begin
            finish(process, whole)
        total, expected = time.perf_counter() - begin, result(whole)
        for number in range(3 * options.times):
            killed = kill_and_resume(Path(root, f"killed{number}"),
                                     rng.uniform(0.8 * first, total), expected)
            if killed:
                epochs, worst, trouble = killed
                differences.append(worst)
                print(f"killed after epoch {epochs} of {len(expected[0])}: "
                      f"largest difference {worst:.1g} {trouble}", flush=True)
            if len(differences) == options.times:
                break
    good = sum(bool(worst < LIMIT) for worst in differences)
    print(f"{good} of {len(differences)} ended like the run that nobody touched, "
          f"on Keras {cnn.keras.__version__}")
    return int(good < options.times)


if __name__ == "__main__":
    sys.exit(main())
