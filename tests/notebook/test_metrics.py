"""PSNR, SSIM, GT-mean and the losses against sums by hand and against each other."""
import keras
import numpy as np
import pytest

from conftest import unsmoothed, write_photo
from lowlight import cnn


def noisy_pair(rng, shape=(40, 50, 3)):
    reference = rng.integers(0, 256, shape).astype(np.uint8)
    image = np.clip(reference + rng.normal(0, 20, shape), 0, 255).astype(np.uint8)
    return reference, image


def floats(*photos):
    """uint8 photos as float32 batches of one in [0, 1]."""
    return [photo[None] / np.float32(255) for photo in photos]


def test_psnr_by_hand():
    reference = np.full((16, 16, 3), 100, np.uint8)
    assert cnn.psnr(reference, reference) == float("inf")
    # an error of 51 everywhere is a fifth of the range: 20 log10(5)
    assert cnn.psnr(reference, reference + np.uint8(51)) == pytest.approx(20 * np.log10(5))
    half = reference.copy()
    half[:8] += 51                  # half the pixels: half the error, 3.01 dB better
    assert cnn.psnr(reference, half) == pytest.approx(20 * np.log10(5) + 10 * np.log10(2))


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
    assert cnn.ssim(reference, image) == pytest.approx(np.mean(values), abs=1e-6)
    assert float(keras.ops.mean(cnn.ssim_map(*floats(reference, image)))) == pytest.approx(
        np.mean(values), abs=1e-5)


def test_metrics_refuse_what_would_score_wrongly(rng):
    reference, image = noisy_pair(rng)
    for function in (cnn.psnr, cnn.ssim, cnn.gt_mean):
        for wrong in ((reference / 255, image / 255), (reference, image[1:]),
                      (reference[..., 0], image[..., 0])):
            with pytest.raises(ValueError, match="expected uint8 photos .* of one size"):
                function(*wrong)


def test_gt_mean_undoes_a_wrong_exposure(rng):
    reference = rng.integers(0, 120, (30, 30, 3)).astype(np.uint8)
    halved = (reference // 2).astype(np.uint8)
    repaired = cnn.gt_mean(reference, halved)
    luma = [(photo @ cnn.LUMA).mean() for photo in (reference, repaired)]
    assert luma[1] == pytest.approx(luma[0], abs=0.5)
    assert cnn.psnr(reference, repaired) > cnn.psnr(reference, halved) + 20
    assert cnn.gt_mean(reference, np.zeros_like(reference)).max() == 0      # no division by 0


def test_psnr_of_levels_is_that_of_the_8_bit_photos(rng):
    reference, _ = noisy_pair(rng)
    output = (reference / 255 + rng.normal(0, 0.3, reference.shape)).astype(np.float32)
    expected = cnn.psnr(reference, cnn.as_uint8(output))            # many are clipped
    batch = [np.concatenate([*floats(reference)] * 2), np.stack([output, output + 2])]
    first, second = keras.ops.convert_to_numpy(cnn.psnr_of_levels(*batch))
    assert first == pytest.approx(expected, abs=1e-4)
    assert second == pytest.approx(cnn.psnr(reference, np.full_like(reference, 255)), abs=1e-4)
    assert np.isfinite(float(cnn.psnr_of_levels(batch[0][:1], batch[0][:1])[0]))


def test_ssim_in_the_loss_is_the_metric(rng):
    for shape in ((33, 47, 3), (11, 200, 3)):
        reference, image = noisy_pair(rng, shape)
        mean = float(keras.ops.mean(cnn.ssim_map(*floats(reference, image))))
        assert mean == pytest.approx(cnn.ssim(reference, image), abs=1e-5)


def test_ssim_in_the_loss_takes_any_size_inside_evaluate(tmp_path, rng):
    """Sizes are unknown when Keras compiles, and a photo may be a single pixel: its margin
    is not."""
    pairs = [cnn.Pair(str(size), *[write_photo(
        tmp_path / f"{side}/{size}.png", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        for side in ("low", "high")]) for size in ((40, 7), (30, 24), (1, 1))]
    model = unsmoothed(cnn.build_model((8,)))
    model.compile("sgd", loss=cnn.LOSSES["l1_ssim"], jit_compile=False)
    reported = model.evaluate(cnn.WholePhotos(pairs), verbose=0)
    photos = [cnn.load_pair(pair)[:2] for pair in pairs]        # untrained: output is low
    expected = [float(cnn.l1_ssim(*floats(
        cnn.with_margin(normal)[0], cnn.with_margin(low)[0]))[0]) for low, normal in photos]
    assert reported == pytest.approx(np.mean(expected), abs=1e-5)


def test_losses_by_hand():
    reference = np.full((2, 16, 16, 3), 0.5, np.float32)
    image = reference + np.float32([0.1, 0.2])[:, None, None, None]
    assert np.allclose(cnn.l1_ssim(reference, reference), 0, atol=1e-6)
    # constant photos: the structure term is 1, the luminance term is left
    luminance = (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4)
    assert float(cnn.l1_ssim(reference, image)[0]) == pytest.approx(
        0.075 + 0.125 * (1 - luminance), abs=1e-4)
