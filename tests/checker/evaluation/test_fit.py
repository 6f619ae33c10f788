from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from checker.decision.head import Head, sigmoid
from checker.evaluation.fit import (
    MASS_PENALTY,
    Flags,
    Inputs,
    cross_fitted,
    fit,
    platt,
    scaled,
    stratified_folds,
)
from tests.checker.evaluation.samples import made_up


def loss(logits: np.ndarray, positive: Flags) -> float:
    return float(np.logaddexp(0, np.where(positive, -logits, logits)).mean())


def test_features_help_on_photos_that_were_not_fitted() -> None:
    train, labels = made_up(600, seed=1)
    test, truth = made_up(600, seed=2)
    with_features = fit(train, labels, features=True)
    without = fit(train, labels, features=False)
    assert without.features is None
    assert loss(test.logits(with_features), truth) < 0.7 * loss(test.logits(without), truth)


def test_the_fit_is_at_the_minimum_of_the_penalised_loss() -> None:
    inputs, positive = made_up(300, seed=3)
    head = fit(inputs, positive, features=False)

    def total(head: Head) -> float:
        penalty = MASS_PENALTY / 2 * sum(weight * weight for weight in head.mass)
        return loss(inputs.logits(head), positive) * len(positive) + penalty

    best = total(head)
    for step in (-0.01, 0.01):
        assert total(dataclasses.replace(head, bias=head.bias + step)) > best
        assert total(dataclasses.replace(head, mass=(head.mass[0] + step, head.mass[1]))) > best
        assert total(dataclasses.replace(head, mass=(head.mass[0], head.mass[1] + step))) > best


def test_each_column_has_its_own_penalty_in_units_of_its_spread() -> None:
    inputs, positive = made_up(300, seed=3)
    head = fit(inputs, positive, features=True, penalty=7.0, single_renditions=False)
    assert head.features is not None
    spread = float((0.5 * (inputs.photo + inputs.thumbnail)).std())

    def total(features: np.ndarray) -> float:
        logits = inputs.logits(dataclasses.replace(head, features=features))
        return loss(logits, positive) * len(positive) + 7.0 / 2 * float(((features * spread) ** 2).sum())

    best = total(head.features)
    for column in (0, 7, 23):
        for step in (-0.01, 0.01):
            moved = head.features.copy()
            moved[column] += step
            assert total(moved) > best


def test_the_same_photos_give_the_same_head_bit_for_bit() -> None:
    inputs, positive = made_up(200, seed=4)
    first, second = (fit(inputs, positive, features=True) for _ in range(2))
    assert first.features is not None
    assert second.features is not None
    assert (first.bias, first.features.tolist()) == (second.bias, second.features.tolist())


def test_no_photo_has_a_part_in_its_own_held_out_logit() -> None:
    inputs, positive = made_up(100, seed=5)
    before = cross_fitted(inputs, positive, features=True, penalty=1.0, folds=5, seed=0)
    train, test = next(stratified_folds(positive, 5, 0))
    moved = inputs.photo.copy()
    moved[test] *= 50  # would bend any head fitted on them
    other = Inputs(inputs.odds, moved, inputs.thumbnail)
    after = cross_fitted(other, positive, features=True, penalty=1.0, folds=5, seed=0)
    head = fit(inputs[train], positive[train], features=True, penalty=1.0)
    assert after[test] == pytest.approx(other[test].logits(head))
    assert not np.allclose(before[train], after[train])


def test_folds_are_stratified_and_test_each_photo_once() -> None:
    positive = np.arange(103) < 31
    tested = np.concatenate([test for _, test in stratified_folds(positive, 5, 0)])
    assert sorted(tested.tolist()) == list(range(103))
    for train, test in stratified_folds(positive, 5, 0):
        assert not set(train.tolist()) & set(test.tolist())
        assert int(positive[test].sum()) in (6, 7)


def test_platt_undoes_a_scale_and_a_shift() -> None:
    rng = np.random.default_rng(6)
    truth = 3 * rng.normal(size=20_000)
    positive = rng.random(len(truth)) < sigmoid(truth)
    slope, shift = platt((truth - 1) / 2, positive)
    assert slope == pytest.approx(2, rel=0.05)
    assert shift == pytest.approx(1, abs=0.1)


def test_separated_photos_do_not_make_the_scale_explode() -> None:
    positive = np.arange(300) < 100
    slope, shift = platt(np.where(positive, 5.0, -5.0), positive)
    scores = sigmoid(slope * np.array([5.0, -5.0]) + shift)
    assert list(scores) == pytest.approx([101 / 102, 1 / 202], rel=1e-3)


def test_separated_photos_do_not_make_the_head_explode() -> None:
    inputs, positive = made_up(300, seed=7)
    sign = np.where(positive, 1.0, -1.0)[:, None]
    separated = Inputs(20.0 * sign.repeat(2, axis=1), inputs.photo + 9 * sign, inputs.thumbnail + 9 * sign)
    for features in (False, True):
        head = fit(separated, positive, features=features)
        assert 0 < head.mass[0] < 5
        assert ((separated.logits(head) > 0) == positive).all()


def test_a_scaled_head_survives_being_saved_as_float32() -> None:
    head = scaled(Head(1.0, (0.5, 0.5), np.array([0.1, 0.2])), 2.0, 3.0)
    assert (head.bias, head.mass) == (5.0, (1.0, 1.0))
    assert head.features is not None
    again = Head.from_json(head.to_json())
    assert again.features is not None
    assert again.features.tolist() == head.features.tolist()
