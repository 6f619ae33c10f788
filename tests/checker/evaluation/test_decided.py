"""Thresholds from stored scores of photos that people decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from checker.decision.head import Doubles, sigmoid
from checker.decision.operating_point import SHIPPED_PROFILES, thresholds_for
from checker.decision.profile import Profile, load_profile, profile_from_json
from checker.errors import ModelRefused
from checker.evaluation.decided import KIND, Flags, TooFewDecisions, remeasured

_NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
_SEED = 7


@pytest.fixture
def base() -> Profile:
    return load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")


def _scores(cats: int, others: int, seed: int = _SEED) -> tuple[Doubles, Flags]:
    random = np.random.default_rng(seed)
    logits = np.concatenate([random.normal(4, 2, cats), random.normal(-4, 2, others)])
    return sigmoid(logits), np.arange(cats + others) < cats


def _remeasured(base: Profile, cats: int, others: int, rate: float = 0.01) -> Profile:
    scores, positive = _scores(cats, others)
    return remeasured(base, scores, positive, max_fpr=rate, max_fnr=rate, now=_NOW)


def test_new_thresholds_keep_the_rates_on_unseen_photos(base: Profile) -> None:
    profile = _remeasured(base, 2000, 2000)
    thresholds = thresholds_for(profile, 0.01, 0.01)
    scores, positive = _scores(20_000, 20_000, seed=_SEED + 1)
    assert 0.002 < float((scores[~positive] >= thresholds.cat_at).mean()) <= 0.012
    assert 0.002 < float((scores[positive] < thresholds.not_cat_below).mean()) <= 0.012
    (point,) = (point for point in profile.cat if point.target == 0.01)
    assert point.kinds[KIND] == point.realised
    assert point.realised.low < point.realised.rate < point.realised.high
    assert profile.profile_id != base.profile_id
    assert profile.head is base.head
    assert profile.made["base"] == base.profile_id
    assert profile_from_json(profile.to_json()).profile_id == profile.profile_id


def test_too_few_decisions_are_refused_with_the_required_number(base: Profile) -> None:
    with pytest.raises(TooFewDecisions, match="100 photos with the subject and 100 without; there are 99"):
        _remeasured(base, 99, 5000)
    with pytest.raises(TooFewDecisions, match="there are 5000 and 99"):
        _remeasured(base, 5000, 99)
    assert [point.target for point in _remeasured(base, 100, 100).cat] == [0.01, 0.02, 0.05]
    with pytest.raises(TooFewDecisions, match="at least 50 photos with the subject and 50 without"):
        _remeasured(base, 49, 50, rate=0.05)


def test_scores_of_0_and_1_have_thresholds_too(base: Profile) -> None:
    scores = np.repeat([1.0, 0.0], 100)
    profile = remeasured(base, scores, scores == 1, max_fpr=0.01, max_fnr=0.01, now=_NOW)
    thresholds = thresholds_for(profile, 0.01, 0.01)
    assert 0 < thresholds.not_cat_below <= thresholds.cat_at <= 1


def test_the_recall_that_int8_loses_is_kept_as_measured(base: Profile) -> None:
    (point,) = (point for point in base.cat if point.target == 0.01)
    profile = _remeasured(replace(base, fp32_recall={0.01: point.recall.rate + 0.003}), 2000, 2000)
    (new,) = (point for point in profile.cat if point.target == 0.01)
    assert profile.fp32_recall == {0.01: pytest.approx(new.recall.rate + 0.003, abs=1e-4)}


def test_a_rate_that_no_number_of_photos_can_measure_is_refused(base: Profile) -> None:
    with pytest.raises(ModelRefused, match=r"A rate of 0\.001 is stricter than the strictest .*, 0\.005\."):
        _remeasured(base, 2000, 2000, rate=0.001)
