#!/usr/bin/env python3
"""Kills the notebook's training with SIGKILL at random times, resumes it, and compares.

    python benchmarks/kills.py [--times 10] [--seed 0]

The code of CNN.ipynb up to the cell after the training runs in a process of its own, on
the sample set and with a small network. A run that was killed once and resumed must end
with the history and the weights of the run that nobody touched, within 1e-4.
"""
import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
from common import ROOT

from lowlight import cnn

SETTINGS = {"DATASET": "sample", "EPOCHS": 12, "STEPS_PER_EPOCH": 5, "CROP": 64,
            "WIDTHS": (8, 16), "PATIENCE_LR": 1, "RESUME": True}
COLUMNS = ["epoch", "loss", "val_loss", "val_psnr", "learning_rate"]
LIMIT = 1e-4            # of the difference of any number in history or weights


def training_code():
    """The notebook's code from the start to the cell after `model.fit(`, with SETTINGS;
    a script that writes to the folder of its command line."""
    sources, trains = [], False
    for cell in nbformat.read(ROOT / "CNN.ipynb", 4).cells:
        if cell.cell_type != "code":
            continue
        sources.append(re.sub(r"^( *)%.*", r"\1pass", cell.source, flags=re.M))   # %pip
        if "parameters" in cell.metadata.get("tags", ()):
            sources += [f"{name} = {value!r}" for name, value in SETTINGS.items()]
            sources.append("OUTPUT = sys.argv[1]")
        if trains:
            return "\n\n".join(sources)
        trains = "model.fit(" in cell.source
    raise SystemExit("CNN.ipynb: no cell with model.fit( and a code cell after it")


@contextlib.contextmanager
def training(folder):
    """A process that trains into `folder`, leader of its own group; killed at the end.

    The script and the sample set that all runs share lie beside the folder.
    """
    folder.mkdir(exist_ok=True)
    with open(folder / "log.txt", "a") as log:
        process = subprocess.Popen(
            [sys.executable, "run.py", folder], cwd=folder.parent, stdout=log,
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
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # `training` cleans up
    rng, differences = np.random.default_rng(options.seed), []
    with tempfile.TemporaryDirectory() as root:
        Path(root, "run.py").write_text(training_code(), encoding="utf-8")
        cnn.write_sample_pairs(Path(root, "dataset/sample"), seed=0)
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
