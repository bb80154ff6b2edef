"""The Parameters cell: texts from papermill mean what they say, nonsense is refused."""
import json
from pathlib import Path

import pytest

from conftest import NOTEBOOK
from lowlight import cnn


def defaults():
    """The parameters as they stand in the notebook."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    source, = ["".join(cell["source"]) for cell in cells
               if "parameters" in cell["metadata"].get("tags", [])]
    names = {}
    exec(source, names)             # assignments only
    return {name: value for name, value in names.items() if name.isupper()}


def test_the_defaults_are_all_checked_and_sound():
    assert cnn.check_parameters(defaults()) == defaults()


@pytest.mark.parametrize("name, text, value", [
    ("RESUME", "false", False), ("RESUME", "True", True), ("RESUME", True, True),
    ("DATASET", 2024, "2024"), ("CLEAN", None, ""), ("WIDTHS", "(16, 32)", (16, 32)),
    ("WIDTHS", [8, 8], (8, 8)), ("EPOCHS", "1e1", 10), ("EPOCHS", 10.0, 10),
    ("OUTPUT", "~/runs", str(Path.home() / "runs")),
    ("LEARNING_RATE", "1e-3", 1e-3), ("STEPS_PER_EPOCH", 1, 1)])
def test_texts_and_numbers_mean_what_they_say(name, text, value):
    found = cnn.check_parameters(defaults() | {name: text})[name]
    assert found == value
    assert type(found) is type(value)


def test_one_message_lists_all_that_makes_no_sense():
    wrong = {"LOSS": "mes", "SCHEDULE": "linear", "PHOTOS": "no/such/folder", "EPOCHS": 1.5,
             "RESUME": "perhaps", "FRACTIONS": (0.9, 0.9, 0.1), "WIDTHS": "(16, x)",
             "CROP": 5, "BATCH_SIZE": 0, "BLOCKS": 0, "DATASET": "", "OUTPUT": None,
             "TEST_SET": __file__, "WEIGHTS": str(Path(__file__).parent),
             "LEARNING_RATE": float("inf"), "SEED": 2 ** 32, "PRECISION": "float8"}
    with pytest.raises(ValueError) as error:
        cnn.check_parameters(defaults() | wrong)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(wrong)
    for name in wrong:
        assert any(line.startswith(f"- {name} = ") for line in lines), name


@pytest.mark.parametrize("fractions", [(0.1, 0.1, 0.1), (0, 0.5, 0.5), (0.5, 0.5)])
def test_fractions_are_of_the_whole(fractions):
    with pytest.raises(ValueError, match="FRACTIONS = .*together 1"):
        cnn.check_parameters(defaults() | {"FRACTIONS": fractions})


@pytest.mark.parametrize("widths", [(8.0, 8), (), "8", [True]])
def test_widths_are_whole_numbers(widths):
    with pytest.raises(ValueError, match="WIDTHS = .*must be whole numbers"):
        cnn.check_parameters(defaults() | {"WIDTHS": widths})
