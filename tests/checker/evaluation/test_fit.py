from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from checker.decision.head import Doubles, Head, Linear, sigmoid
from checker.evaluation.augment import PASTED, SOFT
from checker.evaluation.examples import Examples, Flags
from checker.evaluation.fit import cross_fitted, fit, head_logits, platt, scaled, stratified_folds
from tests.checker.evaluation.samples import made_up


def loss(logits: Doubles, positive: Flags) -> float:
    return float(np.logaddexp(0, np.where(positive, -logits, logits)).mean())


def with_augmentation(
    examples: Examples, augmentation: str, change: Callable[[Examples], Examples]
) -> Examples:
    """Add an augmentation of each photo."""
    augmented = dataclasses.replace(
        change(examples), augmentation=np.full(len(examples.positive), augmentation, dtype="U8")
    )
    fields = [field.name for field in dataclasses.fields(Examples)]
    return Examples(*(np.concatenate([getattr(examples, name), getattr(augmented, name)]) for name in fields))


def in_one_window(examples: Examples) -> Examples:
    """Keep the photo only in one window of its first end; the rest is like a photo of something else."""
    other = np.flatnonzero(~examples.positive)[0]
    odds = np.repeat(examples.odds[[other]], len(examples.odds), axis=0)
    features = np.repeat(examples.features[[other]], len(examples.odds), axis=0)
    odds[:, 0, 1], features[:, 0, 1] = examples.odds[:, -1, 0], examples.features[:, -1, 0]
    return dataclasses.replace(examples, odds=odds, features=features)


def test_features_help_on_photos_that_were_not_fitted() -> None:
    train, test = made_up(600, seed=1), made_up(600, seed=2)
    with_features, without = (fit(train, features=features, penalty=1.0) for features in (True, False))
    assert without.whole.features is without.window.features is None
    assert loss(head_logits(with_features, test), test.positive) < 0.7 * loss(
        head_logits(without, test), test.positive
    )


def test_many_examples_get_the_same_logits_as_each_alone() -> None:
    examples = made_up(50, seed=3)
    head = scaled(fit(examples, features=True), 1.5, -0.25)
    alone = [
        float(head.logits(odds, features))
        for odds, features in zip(examples.odds, examples.features, strict=True)
    ]
    assert head_logits(head, examples) == pytest.approx(alone, rel=1e-5)


def test_a_subject_in_one_window_is_found_by_the_window_and_not_by_the_whole() -> None:
    train = with_augmentation(made_up(600, seed=1), PASTED, in_one_window)
    test = in_one_window(made_up(400, seed=2))
    head = fit(train, features=True, penalty=1.0)
    whole = head.whole.logits(test.odds[..., 0], test.features[..., 0, :]).mean(axis=1)
    cats = test.positive

    def share_won(logits: Doubles) -> float:
        return float((logits[cats][:, None] > logits[~cats]).mean())

    assert share_won(head_logits(head, test)) > 0.85
    assert share_won(whole) < 0.6


def test_augmentations_weigh_half_of_a_photo() -> None:
    """Soft augmentations with inverted labels change the fit, and do not invert it."""
    examples = made_up(600, seed=4)
    turned = with_augmentation(examples, SOFT, lambda one: dataclasses.replace(one, positive=~one.positive))
    plain, pulled = (fit(one, features=False).whole.mass for one in (examples, turned))
    assert 0 < pulled < plain / 2


def test_the_same_photos_give_the_same_head_bit_for_bit() -> None:
    first, second = (fit(made_up(200, seed=4), features=True).to_json() for _ in range(2))
    assert first == second


def test_no_photo_influences_its_own_held_out_logit() -> None:
    examples = with_augmentation(made_up(100, seed=5), SOFT, lambda one: one)
    before, fold = cross_fitted(examples, features=True, penalty=1.0, folds=5, seed=0)
    inside, outside = fold != 0, fold == 0
    assert set(examples.photo[inside]).isdisjoint(examples.photo[outside]), (
        "augmentations go with their photo"
    )
    moved = examples.features.copy()
    moved[outside] *= 50  # would distort any head fitted on them
    other = dataclasses.replace(examples, features=moved)
    after, _ = cross_fitted(other, features=True, penalty=1.0, folds=5, seed=0)
    head = fit(examples[inside], features=True, penalty=1.0)
    assert after[outside] == pytest.approx(head_logits(head, other[outside]), rel=1e-4)
    assert not np.allclose(before[inside], after[inside])


def test_folds_are_stratified_and_test_each_photo_once() -> None:
    positive = np.arange(103) < 31
    tested = np.concatenate([test for _, test in stratified_folds(positive, 5, 0)])
    assert sorted(tested.tolist()) == list(range(103))
    for train, test in stratified_folds(positive, 5, 0):
        assert not set(train.tolist()) & set(test.tolist())
        assert int(positive[test].sum()) in (6, 7)


def test_platt_scaling_reverts_a_scale_and_a_shift() -> None:
    rng = np.random.default_rng(6)
    truth = 3 * rng.normal(size=20_000)
    positive = rng.random(len(truth)) < sigmoid(truth)
    slope, shift = platt((truth - 1) / 2, positive)
    assert slope == pytest.approx(2, rel=0.05)
    assert shift == pytest.approx(1, abs=0.1)


def test_separable_photos_do_not_make_the_scale_explode() -> None:
    positive = np.arange(300) < 100
    slope, shift = platt(np.where(positive, 5.0, -5.0), positive)
    scores = sigmoid(slope * np.array([5.0, -5.0]) + shift)
    assert list(scores) == pytest.approx([101 / 102, 1 / 202], rel=1e-3)


def test_separable_photos_do_not_make_the_head_explode() -> None:
    examples = made_up(300, seed=7)
    sign = np.where(examples.positive, 1.0, -1.0)[:, None, None]
    separated = dataclasses.replace(
        examples,
        odds=20.0 * np.broadcast_to(sign, examples.odds.shape),
        features=(examples.features + 9 * sign[..., None]).astype(np.float32),
    )
    for features in (False, True):
        head = fit(separated, features=features)
        assert 0 < head.whole.mass < 5
        assert ((head_logits(head, separated) > 0) == separated.positive).all()


def test_a_scaled_head_is_the_same_after_saving_as_float32() -> None:
    head = scaled(Head(Linear(1.0, 0.5, np.array([0.125, 0.25]))), 2.0, 3.0)
    assert (head.slope, head.bias) == (2.0, 3.0)
    again = Head.from_json(head.to_json())
    assert again.to_json() == head.to_json()
    assert again.whole.features is not None
    assert again.whole.features.tolist() == [0.125, 0.25]
