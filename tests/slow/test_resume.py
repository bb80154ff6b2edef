"""A run that was cut off goes on: after a kill, Ctrl-C, a torn file, a full disk."""
import json
import resource
import shutil
import signal
import sys

import numpy as np
import pytest

from conftest import IMPATIENT, small_run
from lowlight import cnn


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


def test_a_killed_run_goes_on_as_if_it_had_not_been(small_pairs, run, killed):
    resumed = small_run(killed, small_pairs, resume=True, **IMPATIENT)
    check_same(run, resumed)
    frames = resumed.snapshots.frames("4")
    assert [epoch for epoch, _ in frames] == [0, 1, 2, 3, 4]


def test_ctrl_c_keeps_the_best_weights_and_the_run_can_go_on(tmp_path, small_pairs, capsys):
    """In half precision, whose optimizer has a state of its own."""
    pairs, whole, stopped = small_pairs[:5], tmp_path / "whole", tmp_path / "stopped"
    options = {"epochs": 2, "precision": "mixed_float16"}

    def copy(model, epoch, batch):
        if (epoch, batch) == (1, 0):
            shutil.copytree(whole, stopped)
    run = small_run(whole, pairs, copy, **options)
    left = small_run(stopped, pairs, cut(KeyboardInterrupt, 1, 0), resume=True, **options)
    assert "stopped by hand" in capsys.readouterr().out
    assert left.history["val_psnr"] == pytest.approx(run.history["val_psnr"][:1])
    assert cnn.load_model(left.folder / "model.keras")
    check_same(run, small_run(stopped, pairs, resume=True, **options))


def test_a_run_of_other_settings_is_not_resumed(small_pairs, killed):
    """On other pairs, weights that have seen these test photos would go on training."""
    others = small_pairs[1:] + small_pairs[:1]
    for pairs, options in ((small_pairs, {"crop": 16}), (others, {})):
        with pytest.raises(ValueError, match="state.npz.*other settings.*RESUME = False"):
            small_run(killed, pairs, resume=True, **IMPATIENT | options)


def test_a_state_without_its_history_is_refused(tmp_path, small_pairs, killed):
    """As an earlier version saved it."""
    with np.load(killed / "state.npz") as file:
        content = dict(file)
    text = json.loads(str(content["text"]))
    del text["history"]
    np.savez(tmp_path / "state.npz", **content | {"text": json.dumps(text)})
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        small_run(tmp_path, small_pairs, resume=True, **IMPATIENT)


def test_the_state_before_a_torn_one_is_used(small_pairs, run, killed, capsys):
    """As after a power failure: the run goes on an epoch earlier, and ends the same. Where
    both are torn, it is refused."""
    torn = (killed / "state.npz").read_bytes()[:-1000]
    (killed / "state.npz").write_bytes(torn)
    both_torn = shutil.copytree(killed, killed.parent / "both torn")
    (both_torn / "state-before.npz").write_bytes(torn)
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        small_run(both_torn, small_pairs, resume=True, **IMPATIENT)
    resumed = small_run(killed, small_pairs, resume=True, **IMPATIENT)
    said = capsys.readouterr().out
    assert "state.npz: not of a run" in said
    assert "resuming state-before.npz, epoch 2" in said
    check_same(run, resumed)


def test_a_full_disk_ends_training_with_its_reason_and_keeps_the_state(
        small_pairs, run, killed):
    """A limit on the size of a file stands in for the disk; the run then goes on."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(model, epoch, batch):
        if (epoch, batch) == (2, 0):
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            small_run(killed, small_pairs, fill, resume=True, **IMPATIENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    resumed = small_run(killed, small_pairs, resume=True, **IMPATIENT)
    check_same(run, resumed)


def test_without_the_package_keras_own_backup_takes_its_place(
        tmp_path, small_pairs, monkeypatch, capsys):
    """The run goes on at the epoch that was cut, but is not the same run; ended, it can
    be made longer."""
    pairs = small_pairs[:5]
    monkeypatch.setitem(sys.modules, "lowlight.resume", None)       # cannot be imported
    with pytest.raises(SystemExit):
        small_run(tmp_path, pairs, cut(SystemExit, 1, 0), epochs=2)
    assert not (tmp_path / "state.npz").exists()
    resumed = small_run(tmp_path, pairs, resume=True, epochs=2)
    assert "resuming without the package" in capsys.readouterr().out
    assert resumed.history["epoch"].tolist() == [1, 2]

    head, first, last = (tmp_path / "history.csv").read_text().splitlines()
    values = last.split(",")
    values[head.split(",").index("val_loss")] = "1e-9"      # no later epoch is better
    (tmp_path / "history.csv").write_text("\n".join([head, first, ",".join(values), ""]))
    best = (tmp_path / "model.keras").read_bytes()
    resumed = small_run(tmp_path, pairs, resume=True, epochs=3)
    assert resumed.history["epoch"].tolist() == [1, 2, 3]
    assert resumed.logged["loss"] == pytest.approx(resumed.history["loss"][-1:])
    assert (tmp_path / "model.keras").read_bytes() == best
