"""Training: what it logs, keeps and draws, and how it ends."""
import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from conftest import IMPATIENT, small_run
from lowlight import cnn


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
    pairs = [small_pairs[0]._replace(name=name) for name in ("a/[1]", "a/1", "a_1")]
    snapshots = cnn.Snapshots(pairs, tmp_path / "new")
    snapshots.set_model(cnn.build_model((8,)))
    snapshots.on_train_begin()
    for epoch in range(2):
        snapshots.on_epoch_end(epoch)
    for pair in pairs:
        assert [epoch for epoch, _ in snapshots.frames(pair.name)] == [0, 1, 2]
    assert len(list(tmp_path.rglob("*.png"))) == 9      # none replaces another


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
