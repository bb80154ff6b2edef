"""The camera in the dark: light, sensor, lamps, nights, and what a person would want."""
import io

import numpy as np
import pytest
from PIL import Image

from lowlight import camera, cnn
from lowlight.camera import Darkness, Lamp, Spot


def flat(level, side=200):
    return np.full((side, side, 3), level, np.uint8)


def linear(photo):
    return camera.LINEAR_OF_LEVEL[photo]


def test_the_tables_are_srgb():
    levels = np.arange(256, dtype=np.uint8)
    assert camera.LINEAR_OF_LEVEL == pytest.approx(cnn.to_linear(levels / 255), abs=1e-6)
    light = camera.LINEAR_OF_LEVEL[levels]
    assert np.array_equal(camera.to_levels(light, camera.level_table()), levels)
    squared = camera.to_levels(light, camera.level_table(power=2.0))
    assert np.abs(squared - levels / 255 * levels).max() <= 1


def test_no_darkness_changes_nothing(rng):
    photo = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    for result in camera.darken(photo, rng, Darkness()):
        assert np.array_equal(result, photo)
    assert np.array_equal(camera.vary_colour(photo), photo)


def test_even_darkness_follows_the_sensor(rng):
    """Light falls by the stops; the variance in the green sites is shot and read noise."""
    darkness = Darkness(stops=3.0, shot=1e-3, read=1e-6)
    low, normal = camera.darken(flat(180), rng, darkness)
    expected = linear(np.uint8(180)) / 8
    assert linear(low).mean() == pytest.approx(expected, rel=0.01)
    assert np.array_equal(normal, flat(180))
    green = linear(low)[::2, 1::2, 1]
    assert green.var() == pytest.approx(1e-3 * expected + 1e-6, rel=0.1)


def test_demosaicing_spreads_the_noise_of_each_site():
    mosaic = np.zeros((7, 8), np.float32)
    mosaic[2, 4] = 1.0                              # a red site
    mosaic[3, 2] = 2.0                              # a green one
    noise = camera.demosaic_noise(mosaic)
    red, green, blue = noise
    assert red[1:4, 3:6] == pytest.approx(np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]))
    assert green[3, 2] == 2 and green[2, 2] == green[3, 1] == 0.5
    assert blue.max() == 0 and np.count_nonzero(red) == 9


def test_white_balance_lifts_the_noise_of_red_and_blue(rng):
    even = Darkness(stops=3.0, read=1e-5, shot=1e-9)
    balanced = Darkness(stops=3.0, read=1e-5, shot=1e-9, balance=(2.0, 1.0, 1.5))
    spread = [linear(camera.darken(flat(180), rng, one)[0]).std((0, 1))
              for one in (even, balanced)]
    assert spread[1] / spread[0] == pytest.approx([2.0, 1.0, 1.5], rel=0.1)


def test_grain_enlarges_the_noise(rng):
    low = camera.darken(flat(180), rng, Darkness(stops=3.0, shot=1e-3, grain=2.5))[0]
    fine = camera.darken(flat(180), rng, Darkness(stops=3.0, shot=1e-3))[0]

    def neighbours(photo):
        green = linear(photo)[..., 1]
        return np.corrcoef(green[:, :-2].ravel(), green[:, 2:].ravel())[0, 1]
    assert neighbours(low) > neighbours(fine) + 0.2


def test_noise_is_normal(rng):
    noise = camera.standard_normal((400, 500), rng)
    assert noise.dtype == np.float32 and noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.var() == pytest.approx(1, rel=0.02)
    assert (noise ** 4).mean() == pytest.approx(3, rel=0.05)
    assert np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1] == pytest.approx(
        0, abs=0.01)


@pytest.mark.parametrize("grain", [1.0, 2.0])
@pytest.mark.parametrize("level, shot, read", [(220, 2e-4, 2e-8), (90, 5e-3, 7e-5)])
def test_the_thumbnail_has_the_brightness_and_noise_of_a_darkened_photo(
        rng, grain, level, shot, read):
    """In bright photos noise averages out; in dark ones it also makes black brighter."""
    darkness = Darkness(stops=4.0, shot=shot, read=read, balance=(1.8, 1.0, 1.7),
                        grain=grain)
    height, width = 320, 480
    cells = flat(level, camera.CELLS)
    photo = np.full((height, width, 3), level, np.uint8)
    real = [cnn.make_thumbnail(camera.darken(photo, rng, darkness)[0]) for _ in range(3)]
    made = [camera.darken_cells(cells, rng, darkness, height * width / camera.CELLS ** 2)
            for _ in range(3)]
    real, made = np.stack(real) * 255, np.stack(made) * 255
    assert made.mean() == pytest.approx(real.mean(), abs=0.5)
    assert made.std((0, 1, 2)) == pytest.approx(real.std((0, 1, 2)), rel=0.25)


def test_an_enlarged_crop_comes_with_a_thumbnail_of_less_noise(rng):
    """The photo that it belongs to has more pixels, so more of them lie in each cell."""
    darkness = Darkness(stops=3.0, shot=1e-3, read=1e-6)
    coarse, fine = (camera.darken_cells(flat(200, 64), rng, darkness, pixels).std()
                    for pixels in (30, 9 * 30))
    assert fine < coarse / 2


def test_a_generator_gives_the_same_crop_again(rng):
    photo = rng.integers(0, 256, (200, 240, 3)).astype(np.uint8)
    cells = camera.mean_cells(photo)
    for seed in range(8):
        first, second = (camera.darken_crop(photo, cells, 64, np.random.default_rng(seed))
                         for _ in range(2))
        for one, other in zip(first, second):
            assert np.array_equal(one, other)


def test_kinds_come_as_often_as_they_should(rng):
    drawn = [camera.draw_kind(rng, camera.KINDS) for _ in range(4000)]
    for kind, share in camera.KINDS.items():
        assert drawn.count(kind) / 4000 == pytest.approx(share, abs=0.03)


def test_uneven_light_stays_in_part_and_shadows_are_lifted_three_stops_at_most(rng):
    grid = np.repeat(np.float32([[0, -2, -8]]), 3, axis=0)
    photo = flat(200, 240)
    low, normal = camera.darken(photo, rng, Darkness(light=grid))
    middle = (slice(100, 140), slice(110, 130))
    stops = np.log2(linear(low)[middle].mean() / linear(np.uint8(200)))
    assert stops == pytest.approx(-2, abs=0.3)
    gain = camera.SHADOW_GAIN * -grid.mean()
    kept = linear(np.uint8(200)) * 2 ** (-2 * camera.UNEVENNESS_KEPT)
    assert linear(normal)[middle].mean() == pytest.approx(
        camera.lift_shadows(kept, gain), rel=0.15)
    dark = (slice(100, 140), slice(235, 240))
    lift = np.log2(linear(normal)[dark].mean() / max(linear(low)[dark].mean(), 1e-5))
    assert lift <= camera.MOST_LIFT + gain + 0.3
    lit = linear(np.uint8(200))                  # where the grid is 0
    assert linear(normal).max() <= 1.02 * camera.lift_shadows(lit, gain) < 1


@pytest.mark.parametrize("depth, lift", [(4.0, 2.0), (7.0, camera.MOST_LIFT)])
def test_a_lit_subject_keeps_its_tones_and_the_dark_around_it_is_lifted(rng, depth, lift):
    photo = rng.integers(90, 220, (200, 240, 3)).astype(np.uint8)
    spot = Spot(0.5, 0.5, 0.3, 0.3, 0.05, depth)
    low, normal = camera.darken(photo, rng, Darkness(spot=spot))
    inner, outer = (slice(80, 120), slice(100, 140)), (slice(0, 20), slice(0, 240))
    for result in (low, normal):
        assert np.array_equal(result[inner], photo[inner])
    for result, stops in ((low, -depth), (normal, lift - depth)):
        change = np.log2(linear(result[outer]).mean() / linear(photo[outer]).mean())
        assert change == pytest.approx(stops, abs=0.1)


def test_a_crop_lies_in_its_part_of_light_and_lamps(rng):
    photo = flat(200, 120)
    darkness = Darkness(
        stops=2.0, light=-4 * rng.random((3, 4)).astype(np.float32),
        spot=Spot(0.4, 0.6, 0.3, 0.2, 0.5, 3.0),
        lamps=(Lamp(0.5, 0.25, 0.05, 1, np.float32([32, 16, 8]), 1.0),
               Lamp(0.8, 0.6, 0.1, 8, np.float32([4, 4, 4]), 0.25)))
    whole = camera.darken(photo, rng, darkness)
    window = tuple(np.array([12, 30, 72, 105]) / 120)
    crop = camera.darken(photo[12:72, 30:105], rng, darkness, window)
    for part, all_of_it in zip(crop, whole):
        difference = np.abs(part.astype(int) - all_of_it[12:72, 30:105])
        assert np.ptp(part) > 50 and difference.max() <= 1


def test_lamps_glow_and_signs_stay_legible(rng):
    """A lamp adds its light to both photos; a sign is no brighter than it was recorded."""
    lamps = (Lamp(0.5, 0.25, 0.05, 1, np.float32([32, 16, 8]), 1.0),
             Lamp(0.5, 0.75, 0.1, 8, np.float32([4, 2, 1]), 1 / 8))
    low, normal = camera.darken(flat(100), rng, Darkness(stops=3.0, lamps=lamps))
    assert (normal[100, 50] == 255).all() and (low[100, 50, 0] == 255)
    glow = linear(low)[100, 80] - linear(np.uint8(100)) / 8
    assert glow / glow[2] == pytest.approx([4, 2, 1], rel=0.15)
    sign = linear(normal)[100, 150] - linear(np.uint8(100))
    assert sign == pytest.approx([0.5, 0.25, 0.125], abs=0.05)


def test_white_surfaces_may_be_brighter_than_shown(rng):
    photo = np.uint8([[[255, 255, 255], [128, 128, 128], [255, 0, 0]]])
    low = linear(camera.darken(photo, rng, Darkness(stops=3.0, highlights=3.0))[0])
    assert low[0, 0] == pytest.approx(1, abs=0.01)          # a lamp stays what it is
    assert low[0, 1:] == pytest.approx(linear(photo)[0, 1:] / 8, abs=0.005)


def test_jpeg_is_that_of_pillow(rng):
    photo, file = rng.integers(0, 255, (16, 24, 3)).astype(np.uint8), io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=60)
    assert np.array_equal(camera.compress(photo, 60), np.asarray(Image.open(file)))


def test_colours_vary_at_constant_luma(rng):
    photo = rng.integers(80, 160, (9, 9, 3)).astype(np.uint8)
    luma = photo @ camera.CHROMA[0]
    grey = camera.vary_colour(photo, saturation=0)
    assert np.ptp(grey, axis=-1).max() <= 1 and np.abs(grey[..., 0] - luma).max() <= 1.5
    turned = camera.vary_colour(photo, hue=120)
    assert np.abs(turned @ camera.CHROMA[0] - luma).max() <= 1.5
    greys = np.uint8([[[0] * 3, [255] * 3, [51] * 3]])
    steep = camera.vary_colour(greys, contrast=0.4)[0, :, 0]
    assert list(steep[:2]) == [0, 255] and steep[2] < 51


def test_night_skies_are_dark_varied_and_lifted_by_three_stops_at_most():
    means, brightest = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        sky = camera.night_sky(rng)
        means.append(np.median(sky))
        brightest.append(sky.max())
        darkness = camera.draw_night(rng)
        assert darkness.stops <= camera.MOST_LIFT and darkness.spot is None
    assert max(means) < 80 and len(set(means)) > 10
    assert np.mean(np.array(brightest) > 120) > 0.5         # stars, moons, windows


def test_crops_come_with_the_thumbnail_and_the_window_of_their_photo():
    """A photo of two halves: the thumbnail's side that the window names is the crop's."""
    photo = np.zeros((120, 200, 3), np.uint8)
    photo[:, 100:] = np.linspace(120, 220, 100)[None, :, None]
    cells = camera.mean_cells(photo)
    seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        low, normal, thumbnail, window = camera.darken_crop(photo, cells, 48, rng)
        assert low.shape == normal.shape == (48, 48, 3) and low.dtype == np.uint8
        assert thumbnail.shape == (64, 64, 3) and thumbnail.dtype == np.float32
        top, left, bottom, right = window
        assert 0 <= top < bottom <= 1 and 0 <= left < right <= 1
        rows = slice(int(top * 64), max(int(bottom * 64), int(top * 64) + 1))
        columns = slice(int(left * 64), max(int(right * 64), int(left * 64) + 1))
        own = thumbnail[rows, columns].mean()
        if abs(own - low.mean() / 255) < 0.1:
            seen += 1
    assert seen > 50


def test_a_photo_a_little_smaller_than_the_crop_is_enlarged():
    """Rounding once made the part of it that is cut longer than the photo."""
    for side in range(40, 140):
        photo = np.full((side, 140, 3), 200, np.uint8)
        normal, window = camera.cut_enlarged(photo, 128, np.random.default_rng(side))
        assert normal.shape == (128, 128, 3)
        assert 0 <= min(window) and max(window) <= 1


def test_an_overexposed_photo_stays_as_it_is(rng):
    """What is white cannot be recovered, so only the camera's own photo teaches it."""
    photo = rng.integers(0, 200, (64, 64, 3)).astype(np.uint8)
    photo[:20] = 255
    cells = camera.mean_cells(photo)
    same = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        low, normal, _, _ = camera.darken_crop(photo, cells, 64, rng)
        same += np.array_equal(low, normal)
    assert same >= 9                                # the others are made nights


def test_a_whole_photo_is_never_left_as_it_is(rng):
    photo = rng.integers(60, 200, (64, 80, 3)).astype(np.uint8)
    for seed in range(8):
        low, normal = camera.darken_whole(photo, np.random.default_rng(seed))
        assert low.shape == normal.shape == photo.shape
        assert not np.array_equal(low, normal) and not np.array_equal(low, photo)
