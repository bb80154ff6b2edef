"""The network: any size, exact tiles, honest costs, safe files."""
import json
import zipfile

import keras
import numpy as np
import pytest

import lowlight as ll


def inputs(rng, height, width):
    photo = rng.integers(0, 80, (height, width, 3)).astype(np.uint8)
    return photo, ll.make_thumbnail(photo)


@pytest.mark.parametrize("widths, blocks", [((8, 8, 16), 1), ((8, 16), 2), ((8, 8, 8, 8, 8), 1)])
def test_output_has_the_size_of_the_input(rng, widths, blocks):
    model = ll.build_model(widths, blocks)
    for size in ((1, 1), (37, 53), (64, 64), (37, 54), (5, 200)):      # several in one session
        photo, thumbnail = inputs(rng, *size)
        output = model.predict_on_batch([photo[None] / np.float32(255), thumbnail[None]])
        assert output.shape == (1, *size, 3) and np.isfinite(output).all()


def test_depth_follows_widths():
    for widths in ((8,), (8, 8), (8, 8, 8, 8)):
        assert ll.build_model(widths).get_layer("pad").multiple == 2 ** len(widths)
    assert ll.build_model((8, 8), 2).count_params() > ll.build_model((8, 8), 1).count_params()


def test_padding_repeats_the_last_row_and_column():
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    padded = np.asarray(ll.PadToMultiple(8)(x))[0, :, :, 0]
    assert padded.shape == (8, 8)
    assert (padded[:3, :4] == x[0, :, :, 0]).all()
    assert (padded[3:, :4] == x[0, 2, :, 0]).all() and (padded[:, 4:].T == padded[:, 3]).all()


def test_shadows_are_spread_beside_the_photo(rng):
    photo = inputs(rng, 6, 7)[0][None] / np.float32(255)
    spread = np.asarray(ll.SpreadShadows()(photo))
    assert np.array_equal(spread[..., :3], photo)
    assert np.allclose(spread[..., 3:], np.sqrt(photo), atol=1e-6)


def test_tiles_are_exact(rng, random_model):
    model = random_model()
    for height, width in ((1, 1), (23, 150), (200, 331), (333, 96)):
        photo, thumbnail = inputs(rng, height, width)
        whole = np.asarray(model.predict_on_batch(
            [photo[None] / np.float32(255), thumbnail[None]])[0])
        assert whole.std() > 0.01 or height == 1
        for tile in (1, 16, 50, 120, 5000):
            if tile == 1 and height * width > 5000:
                continue                                # 8-pixel tiles: thousands of them
            tiled = ll.predict(model, photo, thumbnail, tile)
            assert np.abs(tiled - whole).max() < 1 / 255 / 100, (height, width, tile)


def test_the_receptive_radius_holds_and_is_not_wasteful(rng, random_model):
    model = random_model()
    radius, centre = ll.receptive_radius(model), 120
    photo, thumbnail = inputs(rng, 240, 240)
    photo = photo[None] / np.float32(255)
    before = np.asarray(model.predict_on_batch([photo, thumbnail[None]]))
    reach = 0
    for y in range(centre, centre + 8):                 # every place within the stride
        changed = photo.copy()
        changed[0, y, centre + 3] = 1
        after = np.asarray(model.predict_on_batch([changed, thumbnail[None]]))
        rows = np.nonzero(np.abs(after - before).max(axis=(0, 2, 3)))[0]
        reach = max(reach, y - rows.min(), rows.max() - y)
    assert reach <= radius < reach + 16


def test_a_layer_that_sees_the_whole_photo_is_refused():
    photo = keras.Input((None, None, 3))
    thumbnail = keras.Input((64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(photo)
    model = keras.Model([photo, thumbnail], keras.layers.Add()([photo, pooled]))
    with pytest.raises(ValueError, match="no exact tiles"):
        ll.receptive_radius(model)


def test_macs_by_hand():
    model = ll.build_model(widths=(8,), blocks=1, head=16)
    side, half = 32 * 32, 16 * 16
    local = half * (2 * 2 * 6 * 8)                      # step down: 6 channels in
    local += 2 * half * (3 * 3 * 8 * 8)                 # one residual block
    local += half * (2 * 2 * 8 * 10)                    # step up to 10 channels
    local += side * (3 * 3 * 16 * 16 + 3 * 3 * 16 * 3)  # the two of full size
    thumbnail = sum(size * size * 9 * a * b for size, a, b in
                    ((32, 3, 16), (16, 16, 32), (8, 32, 64), (4, 64, 64)))
    dense = 64 * 64 + 2 * 64 * 8
    assert ll.count_macs(model, 32) == local + thumbnail + dense


def test_the_released_shape_is_within_budget():
    model = ll.build_model()
    assert model.count_params() <= 1_200_000 and ll.count_macs(model) <= 2.5e9


def test_save_and_load_give_the_same_photo(tmp_path, rng, random_model):
    model = random_model()
    model.save(tmp_path / "model.keras")
    photo, _ = inputs(rng, 30, 41)
    assert np.array_equal(ll.enhance(ll.load_model(tmp_path / "model.keras"), photo),
                          ll.enhance(model, photo))


def lambda_model(path):
    photo, thumbnail = keras.Input((None, None, 3)), keras.Input((64, 64, 3))
    keras.Model([photo, thumbnail], keras.layers.Lambda(lambda x: x)(photo)).save(path)


def tampered_model(path):
    """A model file whose configuration asks for os.system."""
    ll.build_model((8,)).save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][2].update(module="os", class_name="system", registered_name=None)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


def truncated_model(path):
    ll.build_model((8,)).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def test_only_keras_files_are_opened(tmp_path):
    ll.build_model((8,)).save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="model.h5: only .keras"):
        ll.load_model(tmp_path / "model.h5")


@pytest.mark.parametrize("write", [
    lambda path: None, lambda path: path.write_bytes(b""), lambda path: path.write_text("x"),
    lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR."),
    truncated_model, lambda_model, tampered_model,
    lambda path: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(path)])
def test_a_bad_weights_file_is_refused_by_name(tmp_path, write):
    path = tmp_path / "bad.keras"
    write(path)
    with pytest.raises(ValueError, match="bad.keras"):
        ll.load_model(path)


def test_enhance_checks_its_input(random_model):
    with pytest.raises(ValueError, match="uint8"):
        ll.enhance(random_model(), np.zeros((8, 8, 3)))


def test_brightness_hits_its_target_and_is_monotone(rng):
    photo = rng.integers(0, 200, (50, 60, 3)).astype(np.uint8)
    lumas = []
    for wanted in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95):
        bright = ll.set_brightness(photo, wanted)
        lumas.append((bright @ ll.LUMA).mean() / 255)
        assert lumas[-1] == pytest.approx(wanted, abs=0.02)
    assert lumas == sorted(lumas)
    for wrong in (0, 1, -0.5, 40):
        with pytest.raises(ValueError, match="between 0 and 1"):
            ll.set_brightness(photo, wrong)
    black = np.zeros((4, 4, 3), np.uint8)
    assert (ll.set_brightness(black, 0.5) == 0).all()


def test_slider_holds_both_photos(rng):
    before, after = (rng.integers(0, 255, (40, 2000, 3)).astype(np.uint8) for _ in range(2))
    html = ll.before_after_slider(before, after).data
    assert html.count("data:image/jpeg;base64,") == 2 and 'type="range"' in html
    assert len(html) < 200_000
