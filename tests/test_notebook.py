"""The notebook itself: it runs alone, keeps its promises, and is clean as committed."""
import csv
import json
import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

NOTEBOOK = ROOT / "CNN.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder of a run with tiny parameters, started with nothing but the notebook."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "CNN.ipynb").write_bytes(NOTEBOOK.read_bytes())
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "CNN.ipynb", "done.ipynb", "-p", "EPOCHS", "2",
         "-p", "STEPS_PER_EPOCH", "3", "-p", "CROP", "64", "-y", "WIDTHS: [8, 8, 8]"],
        cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_module_is_a_fresh_export(tmp_path):
    from nbdev.export import nb_export
    copy = tmp_path / "CNN.ipynb"                       # paths in it are relative
    copy.write_bytes(NOTEBOOK.read_bytes())
    nb_export(copy, lib_path=tmp_path)
    fresh = (tmp_path / "lowlight.py").read_text()
    assert fresh == (ROOT / "lowlight.py").read_text(), "run: make export"


def test_it_runs_alone_and_leaves_what_it_promises(executed):
    assert not (executed / "lowlight.py").exists()
    output = executed / "runs/sample"
    with open(output / "history.csv") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert {"loss", "val_loss", "val_psnr", "learning_rate", "seconds"} < set(history[0])
    with open(output / "metrics.csv") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["photo", "method", "psnr", "ssim", "psnr_gt_mean"]
    assert {row["method"] for row in table} == {"input", "gamma 0.4", "CLAHE", "CNN"}
    photos = {row["photo"] for row in table}
    assert len(table) == 4 * len(photos)
    assert len(list((output / "enhanced").glob("*.png"))) == len(photos)
    assert len(list((output / "snapshots").glob("*-epoch-*.png"))) == 4
    for name in ("model.keras", "state.npz", "figures/training.jpg", "figures/film.gif",
                 "figures/film.jpg", "figures/best_median_worst.jpg"):
        assert (output / name).stat().st_size > 1000, name


def test_the_saved_model_makes_the_saved_photos(executed):
    import numpy as np

    import lowlight as ll
    model = ll.load_model(executed / "runs/sample/model.keras")
    for path in (executed / "runs/sample/enhanced").glob("*-1.png"):
        low = ll.load_photo(executed / "dataset/sample/low_light" / path.name)
        difference = ll.enhance(model, low).astype(int) - ll.load_photo(path)
        assert np.abs(difference).max() <= 1


def test_a_run_is_quiet(executed):
    """No library talks into the notebook: every output is ours."""
    for cell in json.loads((executed / "done.ipynb").read_text())["cells"]:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output["text"]
            assert output["output_type"] != "error"


def test_a_failing_cell_fails_the_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "papermill", NOTEBOOK, "out.ipynb", "-p", "DATASET", "nowhere"],
        cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "nowhere: no such folder" in done.stderr


def test_committed_outputs_are_there_clean_and_small(cells):
    assert NOTEBOOK.stat().st_size < 2_000_000
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert sum(bool(cell["outputs"]) for cell in code) > 15
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"/(work|root|home|tmp|mnt|Users)/", text)
    for cell in code:
        assert cell["execution_count"] is None
        assert all(output["output_type"] != "error" and output.get("name") != "stderr"
                   for output in cell["outputs"])


def test_cells_fit_on_a_screen(cells):
    for cell in cells:
        lines = [line for line in "".join(cell["source"]).split("\n") if line.strip()]
        if cell["cell_type"] == "code":
            assert len(lines) <= 25 and max(map(len, lines)) <= 88, lines[:3]


def test_parameters_are_tagged_and_complete(cells):
    parameters, = [cell for cell in cells
                   if "parameters" in cell["metadata"].get("tags", [])]
    names = set(re.findall(r"^([A-Z_]+) = ", "".join(parameters["source"]), re.M))
    assert names >= {"DATASET", "TEST_SET", "OUTPUT", "SEED", "CROP", "BATCH_SIZE", "EPOCHS",
                     "LEARNING_RATE", "LOSS", "WIDTHS", "BLOCKS", "SNAPSHOT_EVERY",
                     "PATIENCE_STOP", "PATIENCE_LR", "WEIGHTS", "RESUME", "PHOTOS"}


def test_outline(cells):
    titles = [line[3:] for cell in cells if cell["cell_type"] == "markdown"
              for line in "".join(cell["source"]).split("\n") if line.startswith("## ")]
    assert titles == ["1 Setup", "2 Data", "3 Model", "4 Loss and metrics", "5 Training",
                      "6 Evaluation", "7 Your photos", "8 Conclusion"]


def test_nothing_exported_needs_tensorflow_or_the_module(cells):
    source = (ROOT / "lowlight.py").read_text()
    assert not re.search(r"^\s*(import|from) tensorflow", source, re.M)
    assert "import lowlight" not in NOTEBOOK.read_text(encoding="utf-8")
