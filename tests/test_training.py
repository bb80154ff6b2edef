"""Callbacks record what fit logged; a run that is cut off ends like one that is not."""
import contextlib
import csv
import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

import lowlight as ll


def small_run(folder, pairs, epochs=4, stop_after=None, resume=False, schedule="plateau",
              settings=None, learning_rate=1e-3, scope=contextlib.nullcontext):
    """Train a tiny network as the notebook does; returns (model, curves, history)."""
    keras.utils.set_random_seed(3)
    sequence = ll.PairSequence(pairs[:6], crop=32, batch_size=2, steps=3, seed=1)
    with scope():
        model = ll.build_model((8, 8))
        model.compile(loss="mse", optimizer=keras.optimizers.Adam(
            learning_rate, global_clipnorm=1.0, use_ema=True, ema_momentum=0.5))
    if schedule == "cosine":
        slow_down = keras.callbacks.LearningRateScheduler(ll.cosine(epochs, 1e-3))
    else:       # impatient, so that its counters matter
        slow_down = keras.callbacks.ReduceLROnPlateau(
            "val_loss", factor=0.5, patience=1, mode="min", min_delta=1e-2)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", mode="min", patience=3, restore_best_weights=True)
    snapshots = ll.Snapshots(pairs[6:7], folder / "snapshots", every=2)
    curves, warm_up = ll.LiveCurves(folder, snapshots), ll.WarmUp(5)
    kept = [stopping, slow_down, snapshots, curves, warm_up]
    state = ll.TrainingState(folder, stopping, kept, settings or {"seed": 1})
    with scope():
        first = sequence.epoch = ll.resume(state, model) if resume else 0

    class Cut(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == stop_after:
                raise KeyboardInterrupt
    history = None
    try:
        history = model.fit(
            sequence, epochs=epochs, initial_epoch=first, shuffle=False, verbose=0,
            callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
                       ll.Validation(pairs[6:8], ll.LOSSES["mse"], sequence), slow_down,
                       stopping, warm_up, keras.callbacks.TerminateOnNaN(), ll.KeepMemory(), ll.Progress(), snapshots,
                       curves, state, Cut()])
    except KeyboardInterrupt:
        pass
    return model, curves, history


def test_callbacks_record_what_fit_logged(tmp_path, sample):
    model, curves, history = small_run(tmp_path, sample)
    assert [row["epoch"] for row in curves.rows] == [1, 2, 3, 4]
    for key in ("loss", "val_loss", "val_psnr", "learning_rate", "seconds"):
        assert [row[key] for row in curves.rows] == history.history[key], key
    with open(tmp_path / "history.csv") as file:
        table = list(csv.DictReader(file))
    assert list(table[0])[:2] == ["epoch", "loss"]
    assert {"val_loss", "val_psnr", "learning_rate", "seconds"} < set(table[0])
    assert [float(row["loss"]) for row in table] == history.history["loss"]
    assert (tmp_path / "figures/training.jpg").stat().st_size > 10_000
    frames = curves.snapshots.frames[sample[6].name]
    assert [epoch for epoch, _ in frames] == [1, 2, 4]


def test_validation_is_that_of_whole_eight_bit_photos(tmp_path, sample):
    model, curves, _ = small_run(tmp_path, sample)
    best = min(curves.rows, key=lambda row: row["val_loss"])
    scores, losses = [], []
    for pair in sample[6:8]:
        low, normal = map(ll.load_photo, pair[1:])
        output = ll.predict(model, low)                 # the best weights are back
        scores.append(ll.psnr(normal, ll.as_uint8(output)))
        losses.append(np.mean((output - normal / 255) ** 2))
    assert best["val_psnr"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert best["val_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    saved = ll.load_model(tmp_path / "model.keras")
    assert all(np.allclose(a, b) for a, b in zip(saved.get_weights(), model.get_weights()))
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        weights = h5py.File(io.BytesIO(file.read("model.weights.h5")))
    assert "optimizer" not in weights                   # a quarter of the size


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_run_that_was_cut_off_ends_like_one_that_was_not(tmp_path, sample, schedule):
    whole, curves, _ = small_run(tmp_path / "whole", sample, schedule=schedule)
    small_run(tmp_path / "cut", sample, stop_after=2, schedule=schedule)
    resumed, again, _ = small_run(tmp_path / "cut", sample, resume=True, schedule=schedule)
    for row, other in zip(curves.rows, again.rows, strict=True):
        for key in ("epoch", "loss", "val_loss", "val_psnr", "learning_rate"):
            assert row[key] == pytest.approx(other[key], abs=1e-4), key
    for a, b in zip(whole.get_weights(), resumed.get_weights()):
        assert np.abs(a - b).max() < 1e-4
    assert [frame[0] for frame in again.snapshots.frames[sample[6].name]] == [1, 2, 4]


def test_the_state_of_another_network_is_refused(tmp_path, sample):
    small_run(tmp_path, sample, epochs=2)
    model = ll.build_model((8, 16))
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(1e-3, use_ema=True))
    state = ll.TrainingState(tmp_path, keras.callbacks.EarlyStopping(), [], {"seed": 1})
    with pytest.raises(ValueError, match="state.npz.*RESUME = False"):
        ll.resume(state, model)
    (tmp_path / "state.npz").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="state.npz.*remove it"):
        ll.resume(state, model)
    state.folder = tmp_path / "nothing here"
    assert ll.resume(state, model) == 0


def test_a_run_on_other_pairs_is_not_resumed(tmp_path, sample):
    """Weights that have seen these test photos would go on training otherwise."""
    small_run(tmp_path, sample, epochs=2)
    with pytest.raises(ValueError, match="other settings.*RESUME = False"):
        small_run(tmp_path, sample, resume=True, settings={"seed": 2})


def test_a_finished_run_resumed_has_nothing_to_do(tmp_path, sample):
    model, _, _ = small_run(tmp_path, sample, epochs=2)
    state = (tmp_path / "state.npz").stat().st_mtime_ns
    again, curves, _ = small_run(tmp_path, sample, epochs=1, resume=True)
    assert [row["epoch"] for row in curves.rows] == [1]
    assert (tmp_path / "state.npz").stat().st_mtime_ns == state
    saved = ll.load_model(tmp_path / "model.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(saved, model.get_weights()))


def test_nan_stops_training_and_spoils_no_file(tmp_path, sample):
    (tmp_path / "model.keras").write_text("an earlier model")
    _, curves, _ = small_run(tmp_path, sample, learning_rate=float("nan"))
    assert len(curves.rows) == 1 and np.isnan(curves.rows[0]["val_loss"])
    assert (tmp_path / "model.keras").read_text() == "an earlier model"


def test_warm_up_reaches_the_learning_rate_in_equal_steps():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.1))
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
    data = np.ones((6, 1))
    model.fit(data, data, batch_size=1, verbose=0, callbacks=[ll.WarmUp(4), Look()])
    assert seen == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_cosine_ends_at_one_percent():
    rate = ll.cosine(10, 1e-3)
    assert rate(0, None) == pytest.approx(1e-3) and rate(10, None) == pytest.approx(1e-5)
    assert all(rate(epoch, None) > rate(epoch + 1, None) for epoch in range(10))


def test_film_and_animation(tmp_path, sample):
    model, curves, _ = small_run(tmp_path, sample)
    film = ll.film_frames(curves.snapshots, 0, model)
    titles = [title.split("\n")[0] for title, _ in film]
    assert titles == ["low", "epoch 1", "epoch 2", "epoch 4", "best weights", "reference"]
    low, normal = map(ll.load_photo, sample[6][1:])
    assert film[0][0].endswith(f"{ll.psnr(normal, low):.1f} dB")
    assert np.array_equal(film[-1][1], normal)
    ll.save_animation(film, tmp_path / "film.gif")
    with ll.Image.open(tmp_path / "film.gif") as gif:
        assert gif.n_frames == len(film)


def test_progress_counts_on_after_a_resume():
    progress = ll.Progress()
    progress.set_params({"epochs": 10, "steps": 100})
    progress.on_train_begin()
    progress.on_epoch_begin(4)
    for batch in range(50):
        progress.on_train_batch_end(batch)
    progress.tell()
    line = ll.progress_line(progress)
    assert line.startswith("epoch 5/10") and "450/1000" in line
