"""A run that was cut off goes on: after a kill, Ctrl-C, a torn file, a full disk."""
import json
import resource
import shutil
import signal
import sys

import numpy as np
import pytest

from conftest import small_run
from lowlight import cnn

# No progress is ever enough: the rate falls after epoch 3, the run stops after epoch 5.
IMPATIENT = {"epochs": 8, "min_progress": 9.0, "patience_lr": 2, "patience": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_pairs):
    """A run that was not cut."""
    return small_run(tmp_path_factory.mktemp("run"), small_pairs, **IMPATIENT)


def cut(error, *moment):
    """A hook that raises `error` at (epoch, batch)."""
    def hook(model, epoch, batch):
        if (epoch, batch) == moment:
            raise error
    return hook


def check_same(one, other):
    """Raise AssertionError unless both ended with the same history and weights."""
    for name in one.history.dtype.names:
        assert one.history[name] == pytest.approx(other.history[name], abs=1e-4), name
    for a, b in zip(one.model.get_weights(), other.model.get_weights()):
        assert np.abs(a - b).max() < 1e-4


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, small_pairs, run):
    """Killed when the history has a row more than the saved state."""
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, cut(SystemExit, 3, None), **IMPATIENT)
    assert len(cnn.read_history(tmp_path / "history.csv")) == 3
    resumed = small_run(tmp_path, small_pairs, resume=True, **IMPATIENT)
    check_same(run, resumed)
    frames = resumed.snapshots.frames("4")
    assert [epoch for epoch, _ in frames] == [0, 1, 2, 3, 4, 5]


def test_ctrl_c_keeps_the_best_weights_and_the_run_can_go_on(tmp_path, small_pairs, capsys):
    """In half precision, whose optimizer has a state of its own."""
    options = {"epochs": 3, "schedule": "cosine", "precision": "mixed_float16"}
    whole = small_run(tmp_path / "whole", small_pairs, **options)
    rates = whole.history["learning_rate"]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-5])
    assert not len(cnn.reductions(whole.history))
    stopped = small_run(tmp_path / "cut", small_pairs, cut(KeyboardInterrupt, 1, 1), **options)
    assert "stopped by hand" in capsys.readouterr().out
    assert stopped.model.count_params() > 1000
    assert stopped.history["val_psnr"] == pytest.approx(whole.history["val_psnr"][:1])
    resumed = small_run(tmp_path / "cut", small_pairs, resume=True, **options)
    check_same(whole, resumed)


@pytest.mark.parametrize("other", [{"loss": "l1_ssim"}, {"crop": 16}, {"widths": (8, 8)}])
def test_a_run_of_other_settings_is_not_resumed(tmp_path, small_pairs, run, other):
    shutil.copy(run.folder / "state.npz", tmp_path)
    with pytest.raises(ValueError, match="state.npz.*RESUME = False"):
        small_run(tmp_path, small_pairs, resume=True, **IMPATIENT | other)


def test_a_run_on_other_pairs_is_not_resumed(tmp_path, small_pairs, run):
    """Weights that have seen these test photos would go on training otherwise."""
    shutil.copy(run.folder / "state.npz", tmp_path)
    with pytest.raises(ValueError, match="other settings.*RESUME = False"):
        small_run(tmp_path, small_pairs[1:] + small_pairs[:1], resume=True, **IMPATIENT)


def test_a_torn_state_is_refused(tmp_path, small_pairs, run):
    content = (run.folder / "state.npz").read_bytes()
    (tmp_path / "state.npz").write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        small_run(tmp_path, small_pairs, resume=True, **IMPATIENT)


def test_a_state_without_its_history_is_refused(tmp_path, small_pairs, run):
    """As an earlier version saved it."""
    with np.load(run.folder / "state.npz") as file:
        content = dict(file)
    text = json.loads(str(content["text"]))
    del text["history"]
    np.savez(tmp_path / "state.npz", **content | {"text": json.dumps(text)})
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        small_run(tmp_path, small_pairs, resume=True, **IMPATIENT)


def test_the_state_before_a_torn_one_is_used(tmp_path, small_pairs, run, capsys):
    """As after a power failure: the run goes on an epoch earlier, and ends the same."""
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, cut(SystemExit, 3, 1), **IMPATIENT)
    state = tmp_path / "state.npz"
    state.write_bytes(state.read_bytes()[:-1000])
    resumed = small_run(tmp_path, small_pairs, resume=True, **IMPATIENT)
    said = capsys.readouterr().out
    assert "state.npz: not of a run" in said
    assert "resuming state-before.npz, epoch 3" in said
    check_same(run, resumed)


def test_a_full_disk_ends_training_with_its_reason_and_keeps_the_state(
        tmp_path, small_pairs, run):
    """A limit on the size of a file stands in for the disk; the run then goes on."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(model, epoch, batch):
        if (epoch, batch) == (2, 0):
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            small_run(tmp_path, small_pairs, fill, **IMPATIENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    resumed = small_run(tmp_path, small_pairs, resume=True, **IMPATIENT)
    check_same(run, resumed)


def test_without_the_package_keras_own_backup_takes_its_place(
        tmp_path, small_pairs, monkeypatch, capsys):
    """The run goes on at the epoch that was cut, but is not the same run."""
    monkeypatch.setitem(sys.modules, "lowlight.resume", None)       # cannot be imported
    options = {"epochs": 4}
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, cut(SystemExit, 2, 1), **options)
    assert not (tmp_path / "state.npz").exists()
    resumed = small_run(tmp_path, small_pairs, resume=True, **options)
    assert "resuming without the package" in capsys.readouterr().out
    assert resumed.history["epoch"].tolist() == [1, 2, 3, 4]
    assert resumed.logged["loss"] == pytest.approx(resumed.history["loss"][2:])
