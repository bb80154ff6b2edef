"""PSNR, SSIM, GT-mean and the losses against scikit-image and against sums by hand."""
import keras
import numpy as np
import pytest
from skimage import metrics

import lowlight as ll


def noisy_pair(rng, shape=(40, 50, 3)):
    reference = rng.integers(0, 256, shape).astype(np.uint8)
    image = np.clip(reference + rng.normal(0, 20, shape), 0, 255).astype(np.uint8)
    return reference, image


def test_psnr_by_hand():
    reference = np.full((16, 16, 3), 100, np.uint8)
    assert ll.psnr(reference, reference) == float("inf")
    # an error of 51 everywhere is a fifth of the range: 20 log10(5)
    assert ll.psnr(reference, reference + np.uint8(51)) == pytest.approx(20 * np.log10(5))
    half = reference.copy()
    half[:8] += 51                  # half the pixels: half the error, 3.01 dB better
    assert ll.psnr(reference, half) == pytest.approx(20 * np.log10(5) + 10 * np.log10(2))


def test_constant_error_of_a_tenth_is_20_db():
    reference = np.full((12, 12, 3), 0.3)
    error = keras.ops.convert_to_numpy(ll.psnr_loss(reference[None], reference[None] + 0.1))
    assert error == pytest.approx(-20 / 100, abs=1e-5)
    lighter = np.full((10, 10, 3), 100, np.uint8)
    other = lighter.copy()
    other[::2], other[1::2] = 125, 126                              # 25.5 on average
    assert ll.psnr(lighter, other) == pytest.approx(20, abs=0.01)


def test_psnr_and_ssim_equal_scikit_image(rng):
    reference, image = noisy_pair(rng)
    error = np.mean((reference.astype(float) - image) ** 2)
    assert ll.psnr(reference, image) == pytest.approx(10 * np.log10(255 ** 2 / error))
    assert ll.ssim(reference, image) == pytest.approx(np.mean([
        metrics.structural_similarity(
            reference[..., channel], image[..., channel], data_range=255, sigma=1.5,
            gaussian_weights=True, use_sample_covariance=False) for channel in range(3)]))


def test_ssim_is_the_definition(rng):
    """One window, worked out: an 11 x 11 photo has a single valid Gaussian window."""
    reference, image = noisy_pair(rng, (11, 11, 3))
    taps = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    values = []
    for a, b in zip(reference.transpose(2, 0, 1) / 255, image.transpose(2, 0, 1) / 255):
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * a * a).sum() - mean_a ** 2, (window * b * b).sum() - mean_b ** 2
        both = (window * a * b).sum() - mean_a * mean_b
        values.append((2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
                      / ((mean_a ** 2 + mean_b ** 2 + 1e-4) * (var_a + var_b + 9e-4)))
    assert ll.ssim(reference, image) == pytest.approx(np.mean(values), abs=1e-6)


def test_metrics_refuse_what_would_score_wrongly(rng):
    reference, image = noisy_pair(rng)
    for function in (ll.psnr, ll.ssim, ll.gt_mean):
        with pytest.raises(ValueError, match="uint8"):
            function(reference / 255, image / 255)
        with pytest.raises(ValueError, match="sizes differ"):
            function(reference, image[1:])
        with pytest.raises(ValueError, match="uint8"):
            function(reference[..., 0], image[..., 0])


def test_gt_mean_undoes_a_wrong_exposure(rng):
    reference = rng.integers(0, 120, (30, 30, 3)).astype(np.uint8)
    halved = (reference // 2).astype(np.uint8)
    repaired = ll.gt_mean(reference, halved)
    luma = [(photo @ ll.LUMA).mean() for photo in (reference, repaired)]
    assert luma[1] == pytest.approx(luma[0], abs=0.5)
    assert ll.psnr(reference, repaired) > ll.psnr(reference, halved) + 20
    assert ll.gt_mean(reference, np.zeros_like(reference)).max() == 0     # no division by 0


def test_ssim_in_the_loss_is_the_metric(rng):
    reference, image = noisy_pair(rng, (33, 47, 3))
    floats = [(photo / 255).astype(np.float32)[None] for photo in (reference, image)]
    mean = float(keras.ops.mean(ll.ssim_map(*floats)))
    assert mean == pytest.approx(ll.ssim(reference, image), abs=1e-5)


def test_losses_by_hand():
    reference = np.full((2, 16, 16, 3), 0.5, np.float32)
    image = reference + np.float32([0.1, 0.2])[:, None, None, None]
    assert np.allclose(ll.charbonnier(reference, image), [0.1, 0.2], atol=1e-4)
    assert np.allclose(ll.psnr_loss(reference, image),
                       [-0.2, np.log10(0.04) / 10], atol=1e-4)
    assert np.allclose(ll.l1_ssim(reference, reference), 0, atol=1e-6)
    # constant photos: the structure term is 1, the luminance term is left
    luminance = (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4)
    assert float(ll.l1_ssim(reference, image)[0]) == pytest.approx(
        0.075 + 0.125 * (1 - luminance), abs=1e-4)
    assert set(ll.LOSSES) == {"mse", "charbonnier", "l1_ssim", "psnr"}


def test_baselines():
    photo = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    lifted = ll.brighten_gamma(photo)
    assert lifted[0, 0, 0] == 0 and lifted[-1, -1, 0] == 255
    assert lifted[4, 0, 0] == round((64 / 255) ** 0.4 * 255)
    assert ll.brighten_clahe(photo).dtype == np.uint8


def test_evaluate_gives_a_row_per_photo_and_method(sample, random_model):
    rows = ll.evaluate(random_model(), sample[:2])
    assert [(row["photo"], row["method"]) for row in rows] == [
        (pair.name, method) for pair in sample[:2]
        for method in ("input", "gamma 0.4", "CLAHE", "CNN")]
    low, normal = map(ll.load_photo, sample[0][1:])
    assert rows[0]["psnr"] == ll.psnr(normal, low)
    assert rows[0]["psnr_gt_mean"] == ll.psnr(normal, ll.gt_mean(normal, low))
    means = ll.summarise(rows)
    assert means["input"]["psnr"] == pytest.approx((rows[0]["psnr"] + rows[4]["psnr"]) / 2)
    assert f"{means['CLAHE']['ssim']:.3f}" in ll.markdown_table(rows)


def test_a_photo_too_small_for_ssim_still_gets_its_psnr():
    photo = np.zeros((5, 5, 3), np.uint8)
    scores = ll.scores(photo, photo + np.uint8(51))
    assert np.isnan(scores["ssim"]) and scores["psnr"] == pytest.approx(20 * np.log10(5))


def test_interval_by_scene_counts_scenes_not_photos(rng):
    few = rng.normal(20, 4, 30)
    low, high = ll.interval_by_scene(few, range(30))
    # with a scene a photo this is the usual interval of a mean
    assert (high - low) / 2 == pytest.approx(1.96 * few.std() / np.sqrt(30), rel=0.05)
    assert low < few.mean() < high
    # nine more photos of each scene that say the same tell nothing new
    assert ll.interval_by_scene(np.repeat(few, 10), np.repeat(range(30), 10)) == \
        pytest.approx((low, high))
    narrow = ll.interval_by_scene(few, range(30), level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_interval_by_scene_of_one_scene_or_equal_scenes():
    assert ll.interval_by_scene([20.0, 22.0], [7, 7]) == (21.0, 21.0)
    assert ll.interval_by_scene([20.0, 20.0, 20.0], [1, 2, 2]) == (20.0, 20.0)
