#!/usr/bin/env python3
"""Kills the notebook's training with SIGKILL at random times, resumes it, and compares.

    python benchmarks/kills.py [--times 10] [--seed 0]

Sections 1 to 5 of CNN.ipynb run in a process of their own, on the sample set and with a
small network. A run that was killed once and resumed must end with the history and the
weights of the run that nobody touched, within 1e-4.
"""
import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import keras  # noqa: E402
import nbformat  # noqa: E402
import numpy as np  # noqa: E402

import lowlight as ll  # noqa: E402

SETTINGS = {"DATASET": "sample", "EPOCHS": 12, "STEPS_PER_EPOCH": 5, "CROP": 64,
            "WIDTHS": (8, 16), "PATIENCE_LR": 1, "RESUME": True}


def write_script(path, output):
    """The code of sections 1 to 5 as a script that writes to `output`."""
    lines = []
    for cell in nbformat.read(ROOT / "CNN.ipynb", 4).cells:
        if cell.source.startswith("## 6 "):
            break
        if cell.cell_type == "code":
            lines.append(cell.source)
        if "parameters" in cell.metadata.get("tags", ()):
            settings = SETTINGS | {"OUTPUT": str(output)}
            lines += [f"{name} = {value!r}" for name, value in settings.items()]
    path.write_text("\n\n".join(lines))


def start(folder):
    """The process that trains in `folder`, leader of its own group."""
    folder.mkdir(exist_ok=True)
    write_script(folder / "run.py", folder / "out")
    with open(folder / "log.txt", "a") as log:
        return subprocess.Popen([sys.executable, folder / "run.py"], cwd=folder, stdout=log,
                                stderr=log, start_new_session=True,
                                env=os.environ | {"MPLBACKEND": "agg"})


def finish(process, folder):
    """Wait for the end of a run that must succeed."""
    if process.wait():
        raise SystemExit((folder / "log.txt").read_text()[-3000:])


def result(folder):
    """(history, weights) that a run left: rows of floats, and arrays."""
    names = ("epoch", "loss", "val_loss", "val_psnr", "learning_rate")
    with open(folder / "out/history.csv", newline="") as file:
        history = [[float(row[name]) for name in names] for row in csv.DictReader(file)]
    return history, ll.load_model(folder / "out/model.keras").get_weights()


def difference(one, other):
    """The largest difference of two results; infinite when they differ in length."""
    if len(one[0]) != len(other[0]):
        return np.inf
    return np.max([np.abs(np.subtract(one[0], other[0])).max(),     # keeps a NaN
                   *(np.abs(a - b).max() for a, b in zip(one[1], other[1]))])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, good = np.random.default_rng(options.seed), 0
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "whole"
        begun, process = time.perf_counter(), start(folder)
        while not (folder / "out/history.csv").exists() and process.poll() is None:
            time.sleep(0.01)
        first = time.perf_counter() - begun         # seconds to the end of the first epoch
        finish(process, folder)
        total = time.perf_counter() - begun
        whole = result(folder)
        kills = 0
        for number in range(3 * options.times):
            folder = Path(root) / f"killed{number}"
            process = start(folder)
            time.sleep(rng.uniform(0.9 * first, total))
            os.killpg(process.pid, signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                continue                            # it had ended by itself
            log = folder / "out/history.csv"
            epochs = len(log.read_text().splitlines()) - 1 if log.exists() else 0
            finish(start(folder), folder)
            worst = difference(whole, result(folder))
            kills, good = kills + 1, good + bool(worst < 1e-4)
            print(f"killed after epoch {epochs} of {len(whole[0])}: "
                  f"largest difference {worst:.1g}", flush=True)
            if kills == options.times:
                break
    print(f"{good} of {kills} ended like the run that nobody touched, "
          f"on Keras {keras.__version__}")
    return int(good < kills or not kills)


if __name__ == "__main__":
    sys.exit(main())
