"""The released weights: small, loadable, and as good as when they were released."""
import pytest

import lowlight as ll
from conftest import LOL, ROOT

WEIGHTS = ROOT / "weights" / "lowlight.keras"
STAGE_1 = ROOT / "weights" / "stage1.keras"


def test_they_are_within_budget():
    model = ll.load_model(WEIGHTS)
    assert WEIGHTS.stat().st_size < 8_000_000
    assert model.count_params() <= 1_200_000 and ll.count_macs(model) <= 2.5e9


def mean_scores(pairs, weights=WEIGHTS):
    """Mean PSNR, SSIM and PSNR with GT-mean of some weights."""
    return ll.summarise(ll.evaluate(ll.load_model(weights), pairs))["CNN"]


def test_they_brighten_the_sample_set_as_measured(sample):
    """Another camera than they were trained on, so the bar is what they reached."""
    scores = mean_scores(ll.split_pairs(sample)[2])
    assert scores["psnr"] == pytest.approx(25.38, abs=0.1)
    assert scores["ssim"] == pytest.approx(0.883, abs=0.003)
    assert scores["psnr_gt_mean"] == pytest.approx(29.05, abs=0.1)


@pytest.mark.skipif(not LOL.is_dir(), reason="needs LOL: dataset/lol, or $LOL")
def test_they_reproduce_what_they_were_trained_on():
    _, _, six = ll.split_pairs(ll.find_pairs(LOL), seed=0)      # held out in stage 1 only
    assert mean_scores(six[:6])["psnr"] == pytest.approx(29.67, abs=0.1)
    assert mean_scores(six[:6], STAGE_1)["psnr"] == pytest.approx(21.87, abs=0.1)


def test_every_layer_computes_in_float32():
    assert {layer.compute_dtype for layer in ll.load_model(WEIGHTS).layers} == {"float32"}
