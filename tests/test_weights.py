"""The released weights: small, loadable, and as good as when they were released."""
import numpy as np
import pytest

import lowlight as ll
from conftest import LOL, ROOT

WEIGHTS = ROOT / "weights" / "lowlight.keras"


def test_they_are_within_budget():
    model = ll.load_model(WEIGHTS)
    assert WEIGHTS.stat().st_size < 8_000_000
    assert model.count_params() <= 1_200_000 and ll.count_macs(model) <= 2.5e9


def test_they_brighten_the_sample_set_as_measured(sample):
    """Another camera than they were trained on, so the bar is what they reached."""
    model = ll.load_model(WEIGHTS)
    _, _, test = ll.split_pairs(sample)
    scores = []
    for pair in test:
        low, normal = map(ll.load_photo, pair[1:])
        scores.append(ll.psnr(normal, ll.gt_mean(normal, ll.enhance(model, low))))
    assert np.mean(scores) == pytest.approx(26.95, abs=0.1)


@pytest.mark.skipif(not LOL.is_dir(), reason="needs the LOL pairs in ../shared/lol")
def test_they_score_on_a_few_unseen_scenes_as_published():
    pairs = ll.find_pairs(LOL)
    _, _, test = ll.split_pairs(pairs, seed=0)
    rows = ll.evaluate(ll.load_model(WEIGHTS), test[:6])
    assert ll.summarise(rows)["CNN"]["psnr"] == pytest.approx(21.87, abs=0.05)
