"""The notebook itself: it runs alone, keeps its promises, and is clean as committed."""
import csv
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import NOTEBOOK, ROOT

HEAVY = {"keras", "tensorflow", "jax", "matplotlib", "skimage", "sklearn", "scipy", "IPython"}


def papermill(folder, *parameters, last=None):
    """Run the notebook in `folder`, as a user does who has nothing but this file.

    `last`: the cell to end with, for tests of what stands before it."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    if last:
        names = [cell["id"] for cell in notebook["cells"]]
        del notebook["cells"][names.index(last) + 1:]
    (folder / "CNN.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items()
                   if key != "PYTHONPATH" and not key.startswith("KAGGLE")}
    environment["KAGGLE_CONFIG_DIR"] = str(folder / "no-keys")      # downloads nothing
    return subprocess.run(
        [sys.executable, "-m", "papermill", "CNN.ipynb", "done.ipynb", *parameters],
        cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The folder of a run with tiny parameters."""
    folder = tmp_path_factory.mktemp("alone")
    done = papermill(folder, *"-p EPOCHS 1 -p STEPS_PER_EPOCH 1 -p CROP 32 -y".split(),
                     "WIDTHS: [8]")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_module_is_a_fresh_export(tmp_path):
    from nbdev.export import nb_export
    copy = tmp_path / "CNN.ipynb"                       # paths in the module are relative
    copy.write_bytes(NOTEBOOK.read_bytes())
    nb_export(copy, lib_path=tmp_path / "lowlight")
    fresh, = (tmp_path / "lowlight").glob("cnn.py")
    assert fresh.read_text() == (ROOT / "lowlight/cnn.py").read_text(), "run: make export"


def test_it_leaves_what_it_promises(executed):
    output = executed / "runs/sample"
    with open(output / "history.csv") as file:
        epoch, = csv.DictReader(file)
    assert {"loss", "val_loss", "val_psnr", "learning_rate"} < set(epoch)
    with open(output / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    photos = {row["photo"] for row in rows}
    assert list(rows[0]) == ["set", "photo", "method", "psnr", "ssim", "psnr_gt_mean"]
    assert {(row["photo"], row["method"]) for row in rows} == {
        (photo, method) for photo in photos
        for method in ("input", "gamma 0.4", "CLAHE", "CNN")}
    assert len(list((output / "enhanced").glob("*.png"))) == len(photos) > 2
    assert len(list((output / "snapshots").glob("*-epoch-000[01].png"))) == 4
    for name in ("model.keras", "state.npz", *(f"figures/{name}" for name in (
            "scenes.jpg", "batch.jpg", "curves.png", "model.png", "training.jpg",
            "film.jpg", "distribution.png", "best_median_worst.jpg", "steps.jpg",
            "brightness.jpg"))):
        assert (output / name).stat().st_size > 1000, name


def test_the_saved_model_makes_the_saved_photos(executed):
    from lowlight import cnn
    model = cnn.load_model(executed / "runs/sample/model.keras")
    path = min((executed / "runs/sample/enhanced").glob("*.png"))
    low = cnn.load_photo(executed / "dataset/sample/low_light" / path.name)
    difference = cnn.brighten(model, low).astype(int) - cnn.load_photo(path)
    assert np.abs(difference).max() <= 1


def test_a_run_is_quiet(executed):
    """No library talks into the notebook: every output is ours."""
    for cell in json.loads((executed / "done.ipynb").read_text())["cells"]:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output["text"]
            assert output["output_type"] != "error"


def write_photo(path, rng):
    """A small photo of soft spots, unlike all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spots = Image.fromarray(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8))
    spots.resize((48, 40), Image.Resampling.BICUBIC).save(path)
    return path


def test_own_pairs_beside_the_embedded_set_and_good_photos(tmp_path, rng):
    """The embedded set is no part of them, and no photo of a pair comes again as a good
    one."""
    for number in range(12):
        for folder in ("dataset", "dataset/sample"):
            normal = write_photo(tmp_path / folder / f"normal_light/{number}.png", rng)
            low = tmp_path / folder / f"low_light/{number}.png"
            low.parent.mkdir(exist_ok=True)
            Image.open(normal).point(lambda level: level // 8).save(low)
    for number in range(60):
        write_photo(tmp_path / f"clean/{number}.png", rng)
    for number in range(6):
        shutil.copy(tmp_path / f"dataset/normal_light/{number}.png",
                    tmp_path / f"clean/copy-{number}.png")
    done = papermill(tmp_path, "-p", "CLEAN", "clean", last="show-scenes")
    assert done.returncode == 0, done.stderr[-3000:]
    found = re.search(r"12 pairs of 12 scenes in dataset/ and 66 photos without partners in "
                      r"clean/: (\d+) training, (\d+) validation, (\d+) test, of which 0 "
                      "share a scene", (tmp_path / "done.ipynb").read_text())
    assert sum(map(int, found.groups())) == 12 + 60


def test_a_failing_cell_fails_the_run(tmp_path):
    done = papermill(tmp_path, "-p", "DATASET", "nowhere")
    assert done.returncode != 0 and "nowhere: no such folder" in done.stderr


def test_the_committed_outputs_are_clean_and_small():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.encode()) < 2_000_000
    assert not re.search(r"/(work|root|home|tmp|mnt|Users)/", text)
    for cell in json.loads(text)["cells"]:
        assert cell.get("execution_count") is None
        assert all(output["output_type"] != "error" and output.get("name") != "stderr"
                   and output.get("execution_count") is None
                   for output in cell.get("outputs", []))


def test_the_notebook_is_of_the_size_that_was_promised():
    """At most 55 cells; plumbing is folded; the model before cell 27, `fit` before 37."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert len(cells) <= 55
    sources = ["".join(cell["source"]) for cell in cells]
    first_layer = next(n for n, source in enumerate(sources) if "(layers.Layer)" in source)
    lines = [line for cell, source in zip(cells[:first_layer], sources)
             for line in source.splitlines() if line.strip()
             if cell["cell_type"] == "code"
             if not cell["metadata"].get("jupyter", {}).get("source_hidden")]
    assert len(lines) <= 300
    assert next(n for n, source in enumerate(sources) if "def build_model" in source) < 26
    assert next(n for n, source in enumerate(sources) if "model.fit(" in source) < 36


def test_the_notebook_asks_for_the_package_only_where_a_wish_needs_it():
    text = (ROOT / "lowlight/cnn.py").read_text()
    assert re.findall(r"(?:import|from) lowlight.*", text) == [
        "from lowlight.resume import TrainingState"]
    assert not re.search(r"^\s*(import|from) (tensorflow|jax|torch)", text, re.M)


def test_the_tool_loads_no_training_packages(tmp_path):
    code = ("import sys, numpy, lowlight, lowlight.cli, lowlight.files, lowlight.clips\n"
            "network = lowlight.load()\n"
            "lowlight.enhance(network, numpy.zeros((9, 9, 3), 'uint8'))\n"
            "print(*{name.split('.')[0] for name in sys.modules})")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
