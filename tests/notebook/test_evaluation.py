"""Evaluation: the baselines, a row for each photo and method, and the three shown."""
from functools import partial

import numpy as np
import pytest

from conftest import unsmoothed
from lowlight import cnn


def test_baselines():
    photo = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    lifted = cnn.BASELINES["gamma 0.4"](photo)
    assert lifted[0, 0, 0] == 0 and lifted[-1, -1, 0] == 255
    assert lifted[4, 0, 0] == round((64 / 255) ** 0.4 * 255)
    assert cnn.BASELINES["CLAHE"](photo).dtype == np.uint8
    assert np.array_equal(cnn.BASELINES["input"](photo), photo)


def test_evaluate_gives_a_row_per_photo_and_method(small_pairs):
    model = unsmoothed(cnn.build_model((8,)))
    rows = cnn.evaluate(cnn.BASELINES | {"CNN": partial(cnn.brighten, model)},
                        small_pairs[:2])
    assert [(row["photo"], row["method"]) for row in rows] == [
        (pair.name, method) for pair in small_pairs[:2]
        for method in ("input", "gamma 0.4", "CLAHE", "CNN")]
    low, normal, _ = cnn.load_pair(small_pairs[0])
    assert rows[0]["psnr"] == rows[3]["psnr"] == cnn.psnr(normal, low)     # untrained
    assert rows[0]["psnr_gt_mean"] == cnn.psnr(normal, cnn.gt_mean(normal, low))
    means = cnn.summarise(rows)
    assert means["input"]["psnr"] == pytest.approx((rows[0]["psnr"] + rows[4]["psnr"]) / 2)
    line = cnn.markdown_table(rows).splitlines()[4]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        "CLAHE", *(f"{means['CLAHE'][score]:.{digits}f}"
                   for score, digits in zip(cnn.SCORES, (2, 3, 2)))]


def test_a_photo_too_small_for_ssim_still_gets_its_psnr():
    photo = np.zeros((5, 50, 3), np.uint8)
    scores = cnn.scores(photo, photo + np.uint8(51))
    assert np.isnan(scores["ssim"]) and scores["psnr"] == pytest.approx(20 * np.log10(5))


def test_best_median_and_worst_are_those_by_score():
    psnrs = {"a1": 20.0, "a2": 21.0, "b1": 25.0, "b2": 24.0, "c1": 22.0, "c2": 23.0}
    rows = [{"photo": photo, "psnr": value} for photo, value in psnrs.items()]
    named = {place: row["photo"] for place, row in cnn.rank(rows).items()}
    assert named == {"best": "b1", "median": "c1", "worst": "a1"}
    alone = cnn.rank(rows[:1])
    assert alone["best"] == alone["median"] == alone["worst"] == rows[0]
