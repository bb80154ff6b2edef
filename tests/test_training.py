"""The notebook's training cells: what they log, keep and draw; a cut run goes on."""
import json
import resource
import shutil
import signal
from functools import partial

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from conftest import code_cells, small_run
from lowlight import cnn

# No progress is ever enough: the rate falls after epoch 3, the run stops after epoch 5.
IMPATIENT = {"EPOCHS": 8, "MIN_PROGRESS": 9.0, "PATIENCE_LR": 2, "PATIENCE_STOP": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_pairs):
    """The names of a run that was not cut."""
    return small_run(tmp_path_factory.mktemp("run"), small_pairs, **IMPATIENT)


def test_the_history_is_what_fit_logged(run):
    history, logged = run["history"], run["stopping"].model.history.history
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert set(logged) == set(history.dtype.names) - {"epoch"}
    for name, values in logged.items():
        assert history[name] == pytest.approx(values), name


def test_the_learning_rate_falls_and_training_stops(run):
    rates = run["history"]["learning_rate"]
    assert rates == pytest.approx([1e-3] * 3 + [5e-4] * 2)
    assert cnn.reductions(run["history"]).tolist() == [3]
    assert run["history"]["loss"][-1] < run["history"]["loss"][0] / 2


def validation_scores(model, pairs):
    """(mean PSNR, mean MSE) of whole photos with their margins, as `fit` sees them."""
    scores, errors = [], []
    for (low, thumbnail, window), normal in map(cnn.WholePhotos(pairs).__getitem__,
                                                range(len(pairs))):
        output = model.predict_on_batch([low, thumbnail, window])
        scores.append(cnn.psnr(cnn.as_uint8(normal[0]), cnn.as_uint8(output[0])))
        errors.append(np.mean((normal - output) ** 2))
    return np.mean(scores), np.mean(errors)


def test_validation_scores_whole_8_bit_photos_of_the_saved_weights(run):
    model = cnn.load_model(run["OUTPUT"] / "model.keras")
    best = min(run["history"], key=lambda row: row["val_loss"])
    score, error = validation_scores(model, run["validation"])
    assert best["val_psnr"] == pytest.approx(score, abs=1e-3)
    assert best["val_loss"] == pytest.approx(error, rel=1e-4)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


def test_snapshots_are_what_the_weights_of_the_epoch_make(run):
    snapshots, first = run["snapshots"], run["validation"][0]
    frames = snapshots.frames(first.name)
    assert [epoch for epoch, _ in frames] == [1, 2, 3, 4, 5]
    low, normal, _ = cnn.load_pair(first)
    best = int(run["history"]["val_loss"].argmin())     # these weights were kept
    assert np.array_equal(cnn.load_photo(frames[best][1]), cnn.brighten(run["model"], low))


def test_the_film_and_the_figure(run):
    name, (low, normal, _) = next(iter(run["snapshots"].photos.items()))
    film = cnn.film_frames(run["snapshots"], name, run["model"], most=3)
    assert [title.split("\n")[0] for title, _ in film] == [
        "low", "epoch 1", "epoch 2", "epoch 5", "best weights", "reference"]
    assert film[0][0].endswith(f"{cnn.psnr(normal, low):.1f} dB")
    assert np.array_equal(film[0][1], low) and np.array_equal(film[-1][1], normal)
    figure = cnn.draw_training(run["history"], run["snapshots"], stopped=True)
    assert isinstance(figure, plt.Figure)
    assert (run["OUTPUT"] / "figures/training.jpg").stat().st_size > 10_000


def test_snapshots_of_some_epochs_and_of_names_with_folders(tmp_path, small_pairs):
    pairs = [small_pairs[0]._replace(name=name) for name in ("a/[1]", "a/1")]
    snapshots = cnn.Snapshots(pairs, tmp_path / "new", every=3)
    snapshots.set_model(cnn.build_model((8,)))
    for epoch in range(5):
        snapshots.on_epoch_end(epoch)
    assert [[epoch for epoch, _ in snapshots.frames(pair.name)] for pair in pairs] == [
        [1, 4], [1, 4]]


def cut(error, *moment):
    """A hook that raises `error` at (epoch, batch)."""
    def hook(model, epoch, batch):
        if (epoch, batch) == moment:
            raise error
    return hook


def same_run(one, other):
    """Raise AssertionError unless both ended with the same history and weights."""
    for name in one["history"].dtype.names:
        assert one["history"][name] == pytest.approx(other["history"][name], abs=1e-4), name
    for a, b in zip(one["model"].get_weights(), other["model"].get_weights()):
        assert np.abs(a - b).max() < 1e-4


def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, small_pairs, run):
    """Killed when the history has a row more than the saved state."""
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, cut(SystemExit, 3, None), **IMPATIENT)
    assert len(cnn.read_history(tmp_path / "history.csv")) == 3
    resumed = small_run(tmp_path, small_pairs, cut(None), RESUME=True, **IMPATIENT)
    same_run(run, resumed)
    assert [epoch for epoch, _ in resumed["snapshots"].frames("4")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("options", [{}, {"PRECISION": "mixed_float16"}])
def test_ctrl_c_keeps_the_best_weights_and_the_run_can_go_on(
        tmp_path, small_pairs, capsys, options):
    options = {"EPOCHS": 3, "SCHEDULE": "cosine", **options}
    whole = small_run(tmp_path / "whole", small_pairs, cut(None), **options)
    rates = whole["history"]["learning_rate"]
    assert (np.diff(rates) < 0).all() and rates[-1] == pytest.approx(1e-5)
    assert not len(cnn.reductions(whole["history"]))
    stopped = small_run(tmp_path / "cut", small_pairs, cut(KeyboardInterrupt, 1, 1), **options)
    assert "stopped by hand" in capsys.readouterr().out
    assert cnn.load_model(tmp_path / "cut/model.keras").count_params() > 1000
    assert stopped["history"]["val_psnr"] == pytest.approx(whole["history"]["val_psnr"][:1])
    resumed = small_run(tmp_path / "cut", small_pairs, cut(None), RESUME=True, **options)
    same_run(whole, resumed)
    assert {layer.compute_dtype for layer in resumed["model"].layers} == {"float32"}


def test_half_precision_scales_the_loss_and_is_that_of_gpus(
        tmp_path, small_pairs, monkeypatch):
    """The cell that looks for devices is told of a GPU; the training is on what there is."""
    names = dict(vars(cnn))
    for tags, source in code_cells():
        if "parameters" in tags:
            exec(source, names)
        if source.startswith("gpus, scope, process"):
            monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
            exec(source, names)
    assert names["PRECISION"] == "mixed_float16"
    seen = []

    def look(model, epoch, batch):
        types = {layer.compute_dtype for layer in model.layers}
        seen.append((type(model.optimizer).__name__, types))
        assert model.get_layer("head").compute_dtype == "float32"
        raise SystemExit
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, look, PRECISION=names["PRECISION"])
    keras.config.set_dtype_policy("float32")
    assert seen[0][0] == "LossScaleOptimizer" and seen[0][1] == {"float16", "float32"}


@pytest.mark.parametrize("other", [{"LOSS": "l1_ssim"}, {"CROP": 16}, {"WIDTHS": (8, 8)}])
def test_a_run_of_other_settings_is_not_resumed(tmp_path, small_pairs, run, other):
    shutil.copy(run["state"].path, tmp_path)
    with pytest.raises(ValueError, match="state.npz.*RESUME = False"):
        small_run(tmp_path, small_pairs, RESUME=True, **IMPATIENT | other)


def test_a_run_on_other_pairs_is_not_resumed(tmp_path, small_pairs, run):
    """Weights that have seen these test photos would go on training otherwise."""
    shutil.copy(run["state"].path, tmp_path)
    with pytest.raises(ValueError, match="other settings.*RESUME = False"):
        small_run(tmp_path, small_pairs[1:] + small_pairs[:1], RESUME=True, **IMPATIENT)


def test_a_torn_state_is_refused(tmp_path, small_pairs, run):
    content = run["state"].path.read_bytes()
    (tmp_path / "state.npz").write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        small_run(tmp_path, small_pairs, RESUME=True, **IMPATIENT)


def test_a_state_without_its_history_is_refused(tmp_path, small_pairs, run):
    """As an earlier version saved it."""
    with np.load(run["state"].path) as file:
        content = dict(file)
    text = json.loads(str(content["text"]))
    del text["history"]
    np.savez(tmp_path / "state.npz", **content | {"text": json.dumps(text)})
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        small_run(tmp_path, small_pairs, RESUME=True, **IMPATIENT)


def test_the_state_before_a_torn_one_is_used(tmp_path, small_pairs, run, capsys):
    """As after a power failure: the run goes on an epoch earlier, and ends the same."""
    with pytest.raises(SystemExit):
        small_run(tmp_path, small_pairs, cut(SystemExit, 3, 1), **IMPATIENT)
    state = tmp_path / "state.npz"
    state.write_bytes(state.read_bytes()[:-1000])
    resumed = small_run(tmp_path, small_pairs, cut(None), RESUME=True, **IMPATIENT)
    assert "state.npz: not of a run" in (said := capsys.readouterr().out)
    assert "resuming state-before.npz, epoch 3" in said
    same_run(run, resumed)


def test_the_same_seed_gives_the_same_numbers(tmp_path, small_pairs, run):
    """On one machine, to the last bit: history, weights and every row of the table."""
    again = small_run(tmp_path, small_pairs, **IMPATIENT)
    assert (again["OUTPUT"] / "history.csv").read_bytes() == (
        run["OUTPUT"] / "history.csv").read_bytes()
    assert all(map(np.array_equal, again["model"].get_weights(), run["model"].get_weights()))
    one, other = (cnn.evaluate({"CNN": partial(cnn.brighten, names["model"])}, small_pairs)
                  for names in (run, again))
    assert one == other


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
    resumed = small_run(tmp_path, small_pairs, cut(None), RESUME=True, **IMPATIENT)
    same_run(run, resumed)


def test_nan_at_once_is_an_error_and_an_earlier_model_stays(tmp_path, small_pairs):
    (tmp_path / "model.keras").write_text("an earlier model")
    with pytest.raises(ValueError, match="lower LEARNING_RATE"):
        small_run(tmp_path, small_pairs, cut(None), LEARNING_RATE=float("nan"))
    assert (tmp_path / "previous-model.keras").read_text() == "an earlier model"


def test_nan_later_stops_training_and_spoils_no_model(tmp_path, small_pairs, run):
    def spoil(model, epoch, batch):
        if (epoch, batch) == (2, None):
            model.set_weights([weight * np.nan for weight in model.get_weights()])
    stopped = small_run(tmp_path, small_pairs, spoil, **IMPATIENT)
    assert len(stopped["history"]) == 3 and np.isnan(stopped["history"]["val_loss"][2])
    assert stopped["best"]["epoch"] < 3
    model = cnn.load_model(tmp_path / "model.keras")
    score, _ = validation_scores(model, stopped["validation"])
    assert score == pytest.approx(run["history"]["val_psnr"][:2].max(), abs=1e-3)
