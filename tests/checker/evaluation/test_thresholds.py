from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from checker.decision.head import sigmoid
from checker.evaluation.augment import PASTED, SOFT
from checker.evaluation.examples import Examples, Indices
from checker.evaluation.fit import cross_fitted
from checker.evaluation.tail import threshold_above
from checker.evaluation.thresholds import FOLDS, Judged, choose_thresholds, judge
from tests.checker.evaluation.samples import made_up


def judged(examples: Examples) -> tuple[Judged, Indices]:
    logits, fold = cross_fitted(examples, features=False, penalty=1.0, folds=FOLDS, seed=0)
    return judge(examples, logits, fold), fold


def test_no_photo_influences_the_thresholds_that_it_is_judged_by() -> None:
    examples = made_up(600, seed=10)
    before, fold = judged(examples)
    mislabelled = np.flatnonzero((fold == 0) & ~examples.positive & (examples.kinds == "dog"))
    moved = examples.odds.copy()
    # To the model all of them are cats now; thresholds chosen on them would be as high.
    moved[mislabelled] += 50
    after, _ = judged(dataclasses.replace(examples, odds=moved))
    assert [point.realised.errors < len(mislabelled) for point in before.cat] == [True] * len(before.cat)
    assert [point.kinds["dog"].errors >= len(mislabelled) for point in after.cat] == [True] * len(after.cat)


@pytest.mark.parametrize("target", [0.003, 0.01, 0.05])
def test_a_chosen_threshold_keeps_its_rate_on_unseen_photos(target: float) -> None:
    rng = np.random.default_rng(7)
    realised = []
    for _ in range(200):
        threshold = threshold_above(rng.logistic(size=600), target)
        realised.append(float(1 - sigmoid(np.array(threshold))))
    assert np.mean(realised) <= target
    assert np.mean(realised) >= target / 3  # safe, but not much stricter than necessary
    assert np.mean(np.array(realised) <= target) >= 0.6


@pytest.mark.parametrize("target", [0.005, 0.01])
def test_a_few_photos_far_above_the_others_raise_the_threshold(target: float) -> None:
    """To the model some dogs look like cats: their scores have a longer tail than those of other photos."""
    logits = np.random.default_rng(8).logistic(size=1000)
    logits[:12] += 12
    called = int((logits >= threshold_above(logits, target)).sum())
    assert called == 1000 * target


def test_the_target_holds_for_the_worst_kind_and_not_for_the_mixture() -> None:
    examples = made_up(2000, seed=11)
    logits = examples.odds.mean(axis=(1, 2))
    dogs = ~examples.positive & (examples.kinds == "dog")
    logits[dogs] += 2
    alike = choose_thresholds(dataclasses.replace(examples, kinds=np.full(2000, "other")), logits)
    by_kind = choose_thresholds(examples, logits)
    for target in (0.01, 0.05):
        assert by_kind.cat[target] > alike.cat[target]
        assert float((logits[dogs] >= by_kind.cat[target]).mean()) <= target
        assert float((logits[dogs] >= alike.cat[target]).mean()) > target


def test_a_kind_with_few_photos_counts_if_they_are_enough() -> None:
    examples = made_up(2000, seed=13)
    logits = examples.odds.mean(axis=(1, 2))
    others = np.flatnonzero(~examples.positive)
    kinds = np.full(2000, "dog", dtype=examples.kinds.dtype)
    kinds[others[:120]] = "bird"
    logits[others[:120]] += 4
    few = dataclasses.replace(examples, kinds=kinds)
    with_say, without = (choose_thresholds(few, logits, share=share).cat[0.01] for share in (1.0, 0.8))
    assert with_say > without


def test_a_looser_target_never_has_a_higher_threshold() -> None:
    """Photos of a few birds look like the subject; they count at 1 %, and not at 0.5 %."""
    examples = made_up(2000, seed=13)
    logits = examples.odds.mean(axis=(1, 2))
    others = np.flatnonzero(~examples.positive)
    kinds = np.full(2000, "dog", dtype=examples.kinds.dtype)
    kinds[others[:120]] = "bird"
    logits[others[:120]] += 4
    cat = choose_thresholds(dataclasses.replace(examples, kinds=kinds), logits).cat
    thresholds = [cat[target] for target in sorted(cat)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_soft_photos_and_small_subjects_have_separate_thresholds() -> None:
    examples = made_up(2000, seed=12)
    logits = examples.odds.mean(axis=(1, 2))
    augmentation = np.array(["", SOFT, PASTED], dtype="U8")[np.arange(2000) % 3]
    changed = dataclasses.replace(
        examples, augmentation=augmentation, soft=augmentation == SOFT, photo=np.arange(2000) // 3
    )
    logits[changed.soft] += 3
    logits[augmentation == PASTED] -= 3
    thresholds = choose_thresholds(changed, logits)
    soft_others = logits[changed.soft & ~examples.positive]
    assert (
        float((soft_others >= thresholds.soft[0.01]).mean())
        <= 0.015
        < float((soft_others >= thresholds.cat[0.01]).mean())
    )
    assert all(thresholds.soft[target] >= thresholds.cat[target] for target in thresholds.cat)
    small = logits[(augmentation == PASTED) & examples.positive]
    assert float((small < thresholds.not_cat[0.01]).mean()) <= 0.12, "ten times the rate"
    plain = logits[(augmentation == "") & examples.positive]
    assert float((plain < thresholds.not_cat[0.01]).mean()) <= 0.01


def test_judging_counts_each_photo_once_and_finds_no_separation_in_noise() -> None:
    examples = made_up(500, seed=8, separation=0.0)
    result, _ = judged(examples)
    others = {kind: int((~examples.positive & (examples.kinds == kind)).sum()) for kind in ("dog", "other")}
    assert min(others.values()) >= 100
    for point in result.cat:
        assert {kind: rate.n for kind, rate in point.kinds.items()} == others
        assert point.realised == max(point.kinds.values(), key=lambda rate: rate.rate)
        assert point.recall.n == int(examples.positive.sum())
        assert point.recall.rate < 0.2


def test_a_rate_too_low_for_the_number_of_photos_is_not_claimed() -> None:
    examples = made_up(180, seed=9)
    result, _ = judged(examples)
    assert 50 < int(examples.positive.sum()) < 100 <= int((~examples.positive).sum()) < 200
    assert [point.target for point in result.cat] == [0.01, 0.02, 0.05], "too few for separate kinds"
    assert [list(point.kinds) for point in result.cat] == 3 * [["other"]]
    assert [point.target for point in result.not_cat] == [0.02, 0.05]
