"""What the benchmarks share and what needs no Keras: places, matmul rate, tables."""
import csv
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RELEASED = ROOT / "lowlight/weights/lowlight.keras"     # has seen every pair
STAGE1 = ROOT / "weights/stage1.keras"                  # has not seen the test scenes
SPLIT = ROOT / "weights/split.json"


def matmul_rate(matmul=np.matmul, side=2048, repeats=5):
    """Floating-point operations a second of a float32 product, the best of some.

    `matmul`: of two arrays (side, side); what it returns is turned into an array, which
    waits for a result that is computed later.
    """
    a, seconds = np.random.default_rng(0).random((side, side), np.float32), []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(matmul(a, a))
        seconds.append(time.perf_counter() - start)
    return 2 * side ** 3 / min(seconds)


def markdown_row(values):
    """Print one row of a Markdown table at once."""
    print(f"| {' | '.join(map(str, values))} |", flush=True)


def markdown_head(columns):
    """Print the head of a Markdown table: the first column left, the others right."""
    markdown_row(columns)
    print("|---|" + "--:|" * (len(columns) - 1), flush=True)


def add_row(path, row):
    """Append a dict to a CSV file, below a header if the file is new."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, row)
        if file.tell() == 0:
            table.writeheader()
        table.writerow(row)
