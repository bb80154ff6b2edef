"""The network: any size, bounded, exact tiles, honest costs, safe files."""
import json
import logging
import zipfile

import keras
import numpy as np
import pytest

from conftest import unsmoothed
from lowlight import cnn

WHOLE = np.float32([0, 0, 1, 1])         # the window of a whole photo
SIZES = ((1, 1), (37, 53), (64, 64), (37, 54), (5, 200))       # several in one session


def noise(rng, *size):
    """(dark uint8 photo, its thumbnail)"""
    photo = rng.integers(0, 80, (*size, 3)).astype(np.uint8)
    return photo, cnn.make_thumbnail(photo)


def predict(model, photo, thumbnail):
    """The model's float output for a uint8 photo, in one piece."""
    return model.predict_on_batch([photo[None] / np.float32(255), thumbnail[None],
                                   WHOLE[None]])[0]


def test_an_untrained_model_returns_the_photo_at_any_size(rng):
    model = unsmoothed(cnn.build_model((8, 8, 8), blocks=2))
    for size in SIZES:
        photo, thumbnail = noise(rng, *size)
        assert predict(model, photo, thumbnail) == pytest.approx(photo / 255, abs=1e-6), size
        assert np.array_equal(cnn.brighten(model, photo), photo)


def test_strips_of_a_large_photo_make_the_same_photo(rng, random_model):
    model = random_model((8, 8, 8, 8), blocks=2)
    model.run_eagerly = True            # for so few photos faster than tracing
    photo, _ = noise(rng, 500, 20)
    whole = cnn.brighten(model, photo).astype(int)
    assert whole.std() > 1
    strips = cnn.brighten(model, photo, strip_pixels=64 * photo.shape[1])
    assert np.abs(strips - whole).max() <= 1


def test_a_margin_and_its_window():
    photo = np.arange(100 * 80 * 3, dtype=np.uint8).reshape(100, 80, 3)
    padded, window = cnn.with_margin(photo)
    assert np.array_equal(padded[32:-32, 32:-32], photo)
    assert window == pytest.approx([-0.32, -0.4, 1.32, 1.4])
    middle, window = cnn.with_margin(photo, side=60)
    assert np.array_equal(middle[32:-32, 32:-32], photo[20:80, 10:70])
    assert window == pytest.approx([-0.12, -22 / 80, 1.12, 102 / 80])


def test_widths_make_it_deeper_and_blocks_longer():
    short, long = (cnn.build_model((8, 8), blocks) for blocks in (1, 2))
    assert short.get_layer("pad").multiple == 4
    assert cnn.build_model((8, 8, 8, 8)).get_layer("pad").multiple == 16
    block = 2 * (9 * 8 * 8 + 8) + 24 * 8                # two convolutions, and the grid
    assert long.count_params() - short.count_params() == 3 * block  # two down, one up


def test_padding_repeats_the_last_row_and_column():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    padded = keras.ops.convert_to_numpy(cnn.PadToMultiple(8)(x))[0, :, :, 0]
    assert np.array_equal(padded, np.pad(x[0, :, :, 0], ((0, 5), (0, 4)), "edge"))


def extreme_photos(rng):
    """uint8 photos (32, 40, 3) of everything that a camera never sees."""
    shape = (32, 40, 3)
    for colour in (0, 255, (255, 0, 0), (0, 0, 255), (255, 255, 0), 1):
        yield np.broadcast_to(np.uint8(colour), shape).copy()
    board = np.indices(shape[:2]).sum(0) % 2 * 255
    yield board[..., None].repeat(3, 2).astype(np.uint8)
    yield np.stack([board, 255 - board, board], -1).astype(np.uint8)
    yield rng.integers(0, 256, shape).astype(np.uint8)
    yield rng.integers(0, 2, shape).astype(np.uint8) * 255


def test_the_output_is_bounded_whatever_comes_in(rng, random_model):
    """Whatever the weights, and with the thumbnail of any other photo."""
    model, photos = random_model((8, 8), spread=30.0), list(extreme_photos(rng))
    model.run_eagerly = True
    thumbnails, spans = [cnn.make_thumbnail(photo) for photo in photos], []
    for photo in photos:
        batch = np.stack([photo] * len(photos)) / np.float32(255)
        windows = np.tile(WHOLE, (len(photos), 1))
        output = model.predict_on_batch([batch, np.stack(thumbnails), windows])
        assert np.isfinite(output).all()
        assert output.min() >= -0.5 - 1e-5 and output.max() <= 1.5 + 1e-5
        spans.append(np.ptp(output, axis=0).max())
    assert max(spans) > 0.1                             # the thumbnail does have a say


def test_white_stays_white_whatever_the_weights(rng, random_model):
    """A lamp in a dark photo keeps its white: it is neither smoothed nor added to."""
    photo, thumbnail = noise(rng, 40, 60)
    photo[10:14, 20:25] = 255
    model = random_model((8, 8), spread=3.0)
    model.run_eagerly = True
    output = predict(model, photo, thumbnail)
    assert output[10:14, 20:25] == pytest.approx(1, abs=1e-4)
    assert np.abs(output - photo / 255).max() > 0.1


@pytest.mark.parametrize("gain", [1 / 8, 1, 5, 300])
@pytest.mark.parametrize("mix", [0.05, 0.7, 1])
def test_the_curve_keeps_black_white_and_order(gain, mix):
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    light = cnn.to_light(levels)
    curve = keras.ops.convert_to_numpy(cnn.to_level(cnn.brightening_curve(light, gain, mix)))
    assert curve[[0, -1]] == pytest.approx([0, 1], abs=1e-5)
    assert (np.diff(curve) >= -1e-7).all()
    if gain == 1:
        assert curve == pytest.approx(levels, abs=1e-6)
    srgb = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    assert light == pytest.approx(srgb, abs=0.06)       # nearly linear light


def test_the_grid_is_read_where_the_window_lies(rng):
    """Against scipy's interpolation, for a whole photo and for a part of it."""
    from scipy import ndimage
    grid = rng.random((1, 32, 32, 2)).astype(np.float32)
    window = np.float32([[0.25, 0.5, 0.75, 0.875]])
    for place, size in ((WHOLE[None], (64, 128)), (window, (48, 40)), (window, (50, 33))):
        photo = np.zeros((1, *size, 3), np.float32)
        found = keras.ops.convert_to_numpy(cnn.SampleGrid(2, 8)([grid, place, photo]))[0]
        top, left, bottom, right = place[0]
        rows, columns = (first + (last - first) * (np.arange(n) * 2 + 1) / length
                         for first, last, n, length in zip(
                             (top, left), (bottom, right), found.shape, size))
        at = np.meshgrid(rows * 32 - 0.5, columns * 32 - 0.5, indexing="ij")
        for channel in range(2):
            wanted = ndimage.map_coordinates(grid[0, :, :, channel], at, order=1, mode="nearest")
            assert found[..., channel] == pytest.approx(wanted, abs=1e-5)
        assert found.shape[:2] == tuple(-(-length // 8) * 4 for length in size)


def test_macs_by_hand():
    full, half = 32 * 32, 16 * 16
    local = half * 4 * 4 * 6 * 8                        # step down, from six channels
    local += half * (2 * 3 * 3 * 8 * 8 + 24 * 8)        # one residual block and the grid
    local += half * 8 * 16                              # step up, before pixels repeat
    local += full * 6 * 16 + full * 3 * 3 * 16 * 16     # at full size
    thumbnail = sum(side * side * 9 * (a * b + b * b) for side, a, b in
                    ((32, 3, 24), (16, 24, 32), (8, 32, 48), (4, 48, 64)))
    thumbnail += 16 * 64 * 48 + 64 * 48 * 32 + 256 * 32 * 24    # steps up
    thumbnail += sum(side * side * 9 * width * width
                     for side, width in ((8, 48), (16, 32), (32, 24)))
    grid = 64 * 64 + 64 * 24 + 32 * 32 * 24 * 24
    model = cnn.build_model(widths=(8,), blocks=1, last_width=16)
    assert cnn.count_macs(model, 32) == local + thumbnail + grid


def test_the_default_network_is_within_budget():
    model = cnn.build_model()
    assert model.count_params() <= 1_200_000 and cnn.count_macs(model) <= 2e9


def test_save_and_load_give_the_same_photo(tmp_path, rng, random_model):
    model = random_model()
    model.save(tmp_path / "model.keras")
    loaded = cnn.load_model(tmp_path / "model.keras")
    model.run_eagerly = loaded.run_eagerly = True
    inputs = noise(rng, 30, 41)
    assert np.array_equal(predict(loaded, *inputs), predict(model, *inputs))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a model's file."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    cnn.build_model((8,)).save(path)
    return path.read_bytes()


def lambda_model(path):
    photo, thumbnail = keras.Input((None, None, 3)), keras.Input((64, 64, 3))
    keras.Model([photo, thumbnail], keras.layers.Lambda(
        lambda parts: parts[0])([photo, thumbnail])).save(path)


def tampered_model(path):
    """A model file whose configuration asks for os.system."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][2].update(module="os", class_name="system", registered_name=None)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


@pytest.mark.parametrize("change", [
    lambda path: path.unlink(), lambda path: path.write_bytes(b""),
    lambda path: path.write_text("x"),
    lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR."),
    lambda path: path.write_bytes(path.read_bytes()[:5000]), lambda_model, tampered_model,
    lambda path: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(path)],
    ids=["missing", "empty", "text", "pickle", "truncated", "lambda", "tampered", "other"])
def test_a_bad_weights_file_is_refused_by_name(tmp_path, saved, change):
    (tmp_path / "bad.keras").write_bytes(saved)
    change(tmp_path / "bad.keras")
    with pytest.raises(ValueError, match="bad.keras"):
        cnn.load_model(tmp_path / "bad.keras")


def test_only_keras_files_are_opened(tmp_path, saved):
    (tmp_path / "model.h5").write_bytes(saved)
    with pytest.raises(ValueError, match="model.h5: only .keras"):
        cnn.load_model(tmp_path / "model.h5")


def test_half_precision_keeps_photos_exact_outside_the_convolutions(rng):
    """Levels of a photo are finer than bfloat16: the untrained model still returns it."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = unsmoothed(cnn.build_model((8, 8)))
    finally:
        keras.config.set_dtype_policy("float32")
    model.run_eagerly = True
    photo, thumbnail = noise(rng, 20, 30)
    output = predict(model, photo, thumbnail)
    assert output.dtype == np.float32
    assert output == pytest.approx(photo / 255, abs=1e-6)


def test_slider_holds_both_photos(rng):
    before, after = (rng.integers(0, 255, (40, 2000, 3)).astype(np.uint8) for _ in range(2))
    html = cnn.before_after_slider(before, after).data
    assert html.count("data:image/jpeg;base64,") == 2 and 'type="range"' in html
    assert len(html) < 200_000


def test_photos_of_many_sizes_draw_no_warning():
    """TensorFlow warns of models that it compiles for size after size."""
    records, handler = [], logging.Handler()
    handler.emit = records.append
    logging.getLogger("tensorflow").addHandler(handler)
    for _ in range(3):
        model = keras.Sequential([keras.layers.Conv2D(1, 1)])
        for side in range(1, 5):
            model.predict_on_batch(np.zeros((1, side, 9 - side, 3), "float32"))
    logging.getLogger("tensorflow").removeHandler(handler)
    assert not records
