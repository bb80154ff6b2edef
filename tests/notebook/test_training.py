"""Training: what it logs, keeps and draws, how it ends, and how it goes on after a cut."""
import json
import resource
import shutil
import signal
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from conftest import small_run
from lowlight import cnn

# No progress is ever enough: the rate falls after epoch 3, the run stops after epoch 4.
IMPATIENT = {"epochs": 8, "min_progress": 9.0, "patience_lr": 2, "patience": 3}


@pytest.fixture(scope="module")
def run_and_killed(tmp_path_factory, small_pairs):
    """A run to its end, and a copy of its folder as a kill would have left it, when the
    history had a row more than the saved state."""
    folder, killed = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("killed")

    def copy(model, epoch, batch):
        if (epoch, batch) == (3, None):
            shutil.copytree(folder, killed, dirs_exist_ok=True)
    run = small_run(folder, small_pairs, copy, **IMPATIENT)
    assert len(cnn.read_history(killed / "history.csv")) == 3
    return run, killed


@pytest.fixture
def run(run_and_killed):
    return run_and_killed[0]


@pytest.fixture
def killed(run_and_killed, tmp_path):
    """The folder of a killed run, to go on in."""
    return shutil.copytree(run_and_killed[1], tmp_path / "killed")


def test_the_history_is_what_fit_logged(run):
    assert run.history["epoch"].tolist() == [1, 2, 3, 4]
    assert set(run.logged) == set(run.history.dtype.names) - {"epoch"}
    for name, values in run.logged.items():
        assert run.history[name] == pytest.approx(values), name


def test_the_learning_rate_falls_and_training_stops(run):
    rates = run.history["learning_rate"]
    assert rates == pytest.approx([1e-3] * 3 + [5e-4])
    assert cnn.reductions(run.history).tolist() == [3]
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_the_cosine_rises_and_falls_to_a_hundredth():
    rates = [cnn.cosine_rate(epoch, 40, 1e-3) for epoch in range(40)]
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[-1] == pytest.approx(1e-5)
    assert (np.diff(rates[2:]) < 0).all()
    history = np.rec.fromarrays([range(1, 41), rates], names="epoch, learning_rate")
    assert not len(cnn.reductions(history))         # which are those of a plateau
    assert cnn.cosine_rate(0, 1, 1e-3) == pytest.approx(5e-4)


def validation_scores(model, pairs):
    """(mean PSNR, mean MSE) of whole photos with their margins, as `fit` sees them."""
    whole, scores, errors = cnn.WholePhotos(pairs), [], []
    for index in range(len(pairs)):
        inputs, normal = whole[index]
        output = model.predict_on_batch(list(inputs))
        scores.append(cnn.psnr(cnn.as_uint8(normal[0]), cnn.as_uint8(output[0])))
        errors.append(np.mean((normal - output) ** 2))
    return np.mean(scores), np.mean(errors)


def test_validation_scores_whole_8_bit_photos_of_the_saved_weights(run):
    model = cnn.load_model(run.folder / "model.keras")
    best = cnn.best_epoch(run.history)
    score, error = validation_scores(model, run.validation)
    assert best["val_psnr"] == pytest.approx(score, abs=1e-3)
    assert best["val_loss"] == pytest.approx(error, rel=1e-4)


def test_snapshots_are_what_the_weights_of_the_epoch_make(run):
    first = run.validation[0]
    frames = run.snapshots.frames(first.name)
    assert [epoch for epoch, _ in frames] == [0, 1, 2, 3, 4]
    low, _, _ = cnn.load_pair(first)
    untrained = cnn.load_photo(frames[0][1]).astype(int)
    assert np.abs(untrained - low).mean() < 3               # all but the photo itself
    best = int(cnn.best_epoch(run.history)["epoch"])        # these weights were kept
    assert np.array_equal(cnn.load_photo(frames[best][1]), cnn.brighten(run.model, low))


def test_the_film_and_the_figure(run):
    name, (low, normal, _) = next(iter(run.snapshots.photos.items()))
    film = cnn.film_frames(run.snapshots, name, run.model, most=3)
    assert [title.split("\n")[0] for title, _ in film] == [
        "low", "untrained", "epoch 1", "epoch 4", "best weights", "reference"]
    assert film[0][0].endswith(f"{cnn.psnr(normal, low):.1f} dB")
    assert np.array_equal(film[0][1], low)
    assert np.array_equal(film[-1][1], normal)
    figure = cnn.draw_training(run.history, run.snapshots, stopped=True)
    assert isinstance(figure, plt.Figure)


def test_snapshots_of_names_with_folders(tmp_path, small_pairs):
    pairs = [small_pairs[0]._replace(name=name) for name in ("a/[1]", "a/1")]
    snapshots = cnn.Snapshots(pairs, tmp_path / "new")
    snapshots.set_model(cnn.build_model((8,)))
    snapshots.on_train_begin()
    for epoch in range(2):
        snapshots.on_epoch_end(epoch)
    for pair in pairs:
        assert [epoch for epoch, _ in snapshots.frames(pair.name)] == [0, 1, 2]


def test_half_precision_is_that_of_gpus_and_scales_the_loss(
        tmp_path, small_pairs, monkeypatch):
    """Keras is asked for its devices; the training is on what there is."""
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "gpu:0"])
    assert cnn.find_gpus() == ["gpu:0"]
    assert cnn.training_precision("auto", []) == "float32"
    assert cnn.training_precision("float32", ["gpu:0"]) == "float32"
    precision = cnn.training_precision("auto", cnn.find_gpus())
    assert precision == "mixed_float16"
    seen = []

    def look(model, epoch, batch):
        seen.append(type(model.optimizer).__name__)
        seen.append({layer.compute_dtype for layer in model.layers})
        seen.append(model.get_layer("head").compute_dtype)
        raise SystemExit
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, look, precision=precision)
    assert seen[:3] == ["LossScaleOptimizer", {"float16", "float32"}, "float32"]


def test_nan_at_once_is_an_error_and_an_earlier_model_stays(tmp_path, small_pairs):
    (tmp_path / "model.keras").write_text("an earlier model")
    with pytest.raises(ValueError, match="lower LEARNING_RATE"):
        small_run(tmp_path, small_pairs, rate=float("nan"))
    assert (tmp_path / "previous-model.keras").read_text() == "an earlier model"


def test_nan_later_stops_training_and_spoils_no_model(tmp_path, small_pairs, run):
    def spoil(model, epoch, batch):
        if (epoch, batch) == (1, None):
            model.set_weights([weight * np.nan for weight in model.get_weights()])
    stopped = small_run(tmp_path, small_pairs, spoil, **IMPATIENT)
    assert len(stopped.history) == 2
    assert np.isnan(stopped.history["val_loss"][1])
    assert cnn.best_epoch(stopped.history)["epoch"] == 1
    score, _ = validation_scores(stopped.model, stopped.validation)
    assert score == pytest.approx(run.history["val_psnr"][0], abs=1e-3)


def test_the_same_seed_gives_the_same_numbers(tmp_path, small_pairs, killed):
    """On one machine, to the last bit: history, weights and optimizer, with any number of
    workers. What a run of two epochs saved before its last is what another one did."""
    small_run(tmp_path, small_pairs, workers=3, **IMPATIENT | {"epochs": 2})
    history, longer = ((folder / "history.csv").read_text() for folder in (tmp_path, killed))
    assert longer.startswith(history)
    with np.load(tmp_path / "state.npz") as one, np.load(killed / "state-before.npz") as other:
        for name in one.files:
            assert np.array_equal(one[name], other[name]), name


# Going on

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
    for epochs in (2, 3):
        resumed = small_run(tmp_path, pairs, resume=True, epochs=epochs)
        assert "resuming without the package" in capsys.readouterr().out
        assert resumed.history["epoch"].tolist() == [*range(1, epochs + 1)]
        assert resumed.logged["loss"] == pytest.approx(resumed.history["loss"][-1:])
