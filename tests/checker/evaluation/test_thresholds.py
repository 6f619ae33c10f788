from __future__ import annotations

import numpy as np
import pytest

from checker.decision.head import sigmoid
from checker.evaluation.fit import Inputs, stratified_folds
from checker.evaluation.statistics import auc
from checker.evaluation.thresholds import FOLDS, judge, threshold_above
from tests.checker.evaluation.samples import made_up


def test_no_photo_has_a_part_in_the_thresholds_that_it_is_judged_by() -> None:
    inputs, positive = made_up(600, seed=10)
    before = judge(inputs, positive, features=False, penalty=1.0, seed=0)
    fold = next(test for _, test in stratified_folds(positive, FOLDS, 0))
    mislabelled = fold[~positive[fold]]
    moved = inputs.odds.copy()
    # To the model they are all cats now; thresholds that had seen them would be as high.
    moved[mislabelled] += 50
    after = judge(
        Inputs(moved, inputs.photo, inputs.thumbnail), positive, features=False, penalty=1.0, seed=0
    )
    assert [point.realised.errors < len(mislabelled) for point in before.cat] == [True] * len(before.cat)
    assert [point.realised.errors >= len(mislabelled) for point in after.cat] == [True] * len(after.cat)


@pytest.mark.parametrize("target", [0.003, 0.01, 0.05])
def test_a_chosen_threshold_keeps_its_rate_on_unseen_photos(target: float) -> None:
    rng = np.random.default_rng(7)
    realised = []
    for _ in range(200):
        threshold = threshold_above(rng.logistic(size=600), target)
        realised.append(float(1 - sigmoid(np.array(threshold))))
    assert np.mean(realised) <= target
    assert np.mean(realised) >= target / 3  # safe, not timid
    assert np.mean(np.array(realised) <= target) >= 0.6


def test_judging_counts_each_photo_once_and_finds_no_separation_in_noise() -> None:
    inputs, positive = made_up(500, seed=8, separation=0.0)
    inputs = Inputs(np.zeros_like(inputs.odds), inputs.photo, inputs.thumbnail)
    judged = judge(inputs, positive, features=True, penalty=1.0, seed=0)
    assert auc(judged.held_out, positive) == pytest.approx(0.5, abs=0.08)
    for point in judged.cat:
        assert point.realised.n == int((~positive).sum())
        assert point.recall.n == int(positive.sum())
        assert point.recall.rate < 0.2


def test_a_rate_too_low_for_the_number_of_photos_is_not_claimed() -> None:
    inputs, positive = made_up(160, seed=9)
    judged = judge(inputs, positive, features=False, penalty=1.0, seed=0)
    assert 50 < int(positive.sum()) < 100 <= int((~positive).sum()) < 200
    assert [point.target for point in judged.cat] == [0.01, 0.02, 0.05]
    assert [point.target for point in judged.not_cat] == [0.02, 0.05]
