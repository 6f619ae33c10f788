"""Fitting, choosing and judging, on numbers whose truth is known."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from checker.decision.head import Head, sigmoid
from checker.decision.profile import find_profile
from checker.decision.subject import SUBJECTS
from checker.evaluation.fit import Flags, Inputs, cross_fitted, fit, platt, scaled, stratified
from checker.evaluation.statistics import (
    auc,
    expected_calibration_error,
    mcnemar,
    precision_recall,
    recall_at_fpr,
    roc,
    wilson,
)
from checker.evaluation.thresholds import FOLDS, judge, threshold_above
from checker.ports import Activations, Evidence, ModelInfo
from models.catalogue import Preprocessing, entry_named
from scripts._measure import Measured
from scripts._photos import NoData, labelled_photos
from scripts.calibrate import calibrate

DIMENSIONS = 24


def made_up(n: int, seed: int, separation: float = 2.0) -> tuple[Inputs, Flags]:
    """Two clouds of features around opposite centres; the log-odds tell a little of the truth."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    sign = np.where(positive, 1.0, -1.0)[:, None]
    centre = np.linspace(1, 0, DIMENSIONS) * separation / 4
    photo = sign * centre + rng.normal(size=(n, DIMENSIONS))
    thumbnail = photo + 0.3 * rng.normal(size=photo.shape)
    odds = sign + 2 * rng.normal(size=(n, 2))
    return Inputs(odds, photo, thumbnail), positive


class Stub:
    """A ``Classifier`` as far as ``calibrate`` asks: what ran, and how its input was made."""

    model_info = ModelInfo("efficientnet_lite0", "ab" * 32, "torch", "fp32", "cpu", {"numpy": "2"})
    preprocessing: Preprocessing = entry_named("efficientnet_lite0").preprocessing
    input_px = 224

    def run(self, batch: object) -> object:
        raise AssertionError("calibrate judges what was measured, and runs nothing")

    def close(self) -> None: ...


def measured(n: int = 400) -> Measured:
    """Logits that favour tabby (281) for cats, features as ``made_up``."""
    inputs, positive = made_up(n, seed=1)
    logits = np.zeros((n, 1000), np.float32)
    logits[:, 281] = inputs.odds[:, 0] + 7
    labels = np.where(positive, "cat", "not_cat").astype("<U12")
    labels[:3] = "wild_feline"
    return Measured(
        names=tuple(f"{i:04}" for i in range(n)),
        labels=labels,
        evidence=Evidence(
            Activations(logits, inputs.photo.astype(np.float32)),
            Activations(logits, inputs.thumbnail.astype(np.float32)),
        ),
        data={"counts": {}, "sha256": "00"},
        photos_per_s=1.0,
        peak_bytes=1,
    )


def loss(logits: np.ndarray, positive: Flags) -> float:
    return float(np.logaddexp(0, np.where(positive, -logits, logits)).mean())


def test_features_help_on_photos_that_were_not_fitted() -> None:
    train, labels = made_up(600, seed=1)
    test, truth = made_up(600, seed=2)
    with_features = fit(train, labels, features=True)
    without = fit(train, labels, features=False)
    assert without.features is None
    assert loss(test.logits(with_features), truth) < 0.7 * loss(test.logits(without), truth)


def test_the_fit_is_where_its_loss_has_no_slope() -> None:
    inputs, positive = made_up(300, seed=3)
    head = fit(inputs, positive, features=False)

    def total(head: Head) -> float:
        return loss(inputs.logits(head), positive) * len(positive) + 0.0005 * sum(w * w for w in head.mass)

    best = total(head)
    for step in (-0.01, 0.01):
        assert total(dataclasses.replace(head, bias=head.bias + step)) > best
        assert total(dataclasses.replace(head, mass=(head.mass[0] + step, head.mass[1]))) > best
        assert total(dataclasses.replace(head, mass=(head.mass[0], head.mass[1] + step))) > best


def test_the_same_photos_give_the_same_head_bit_for_bit() -> None:
    inputs, positive = made_up(200, seed=4)
    first, second = (fit(inputs, positive, features=True) for _ in range(2))
    assert first.features is not None
    assert second.features is not None
    assert (first.bias, first.features.tolist()) == (second.bias, second.features.tolist())


def test_no_photo_has_a_part_in_its_own_held_out_logit() -> None:
    inputs, positive = made_up(100, seed=5)
    before = cross_fitted(inputs, positive, features=True, penalty=1.0, folds=5, seed=0)
    fold = next(test for _, test in stratified(positive, 5, 0))
    moved = inputs.photo.copy()
    moved[fold] *= 50  # would bend any head fitted on them
    other = Inputs(inputs.odds, moved, inputs.thumbnail)
    after = cross_fitted(other, positive, features=True, penalty=1.0, folds=5, seed=0)
    train = next(train for train, _ in stratified(positive, 5, 0))
    head = fit(inputs[train], positive[train], features=True, penalty=1.0)
    assert after[fold] == pytest.approx(other[fold].logits(head))
    assert not np.allclose(before[train], after[train])


def test_no_photo_has_a_part_in_the_thresholds_that_it_is_judged_by() -> None:
    inputs, positive = made_up(600, seed=10)
    before = judge(inputs, positive, features=False, penalty=1.0, seed=0)
    fold = next(test for _, test in stratified(positive, FOLDS, 0))
    liars = fold[~positive[fold]]
    moved = inputs.odds.copy()
    moved[liars] += 50  # to the network they are all cats; thresholds that had seen them would be as high
    after = judge(
        Inputs(moved, inputs.photo, inputs.thumbnail), positive, features=False, penalty=1.0, seed=0
    )
    assert [point.realised.errors < len(liars) for point in before.cat] == [True] * len(before.cat)
    assert [point.realised.errors >= len(liars) for point in after.cat] == [True] * len(after.cat)


def test_folds_are_stratified_and_test_each_photo_once() -> None:
    positive = np.arange(103) < 31
    tested = np.concatenate([test for _, test in stratified(positive, 5, 0)])
    assert sorted(tested.tolist()) == list(range(103))
    for train, test in stratified(positive, 5, 0):
        assert not set(train.tolist()) & set(test.tolist())
        assert int(positive[test].sum()) in (6, 7)


def test_platt_undoes_a_scale_and_a_shift() -> None:
    rng = np.random.default_rng(6)
    truth = 3 * rng.normal(size=20_000)
    positive = rng.random(len(truth)) < sigmoid(truth)
    slope, shift = platt((truth - 1) / 2, positive)
    assert slope == pytest.approx(2, rel=0.05)
    assert shift == pytest.approx(1, abs=0.1)


def test_photos_that_are_told_apart_do_not_make_the_scale_explode() -> None:
    positive = np.arange(300) < 100
    slope, shift = platt(np.where(positive, 5.0, -5.0), positive)
    scores = sigmoid(slope * np.array([5.0, -5.0]) + shift)
    assert list(scores) == pytest.approx([101 / 102, 1 / 202], rel=1e-3)


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


def test_judging_counts_each_photo_once_and_sees_no_separation_where_there_is_none() -> None:
    inputs, positive = made_up(500, seed=8, separation=0.0)
    inputs = Inputs(np.zeros_like(inputs.odds), inputs.photo, inputs.thumbnail)
    nothing = judge(inputs, positive, features=True, penalty=1.0, seed=0)
    assert auc(nothing.held_out, positive) == pytest.approx(0.5, abs=0.08)
    for point in nothing.cat:
        assert point.realised.n == int((~positive).sum())
        assert point.recall.n == int(positive.sum())
        assert point.recall.rate < 0.2


def test_a_profile_is_calibrated_and_its_thresholds_fall_with_the_target(tmp_path: Path) -> None:
    profile = calibrate(measured(), Stub(), SUBJECTS["house_cat"], fit_head=True)  # type: ignore[arg-type]
    targets = [point.target for point in profile.cat]
    thresholds = [point.threshold for point in profile.cat]
    assert targets == [0.005, 0.01, 0.02, 0.05]
    assert thresholds == sorted(thresholds, reverse=True)
    assert all(point.recall.low < point.recall.rate < point.recall.high for point in profile.cat)
    assert profile.made["judged"]["ece"] < 0.1
    assert profile.made["wild_felines"]["n"] == 3
    assert {"date", "commit", "command", "machine", "data"} <= set(profile.made)
    profile.save(tmp_path / "p.json")
    found = find_profile(profile.key, [tmp_path])
    assert found is not None
    assert found.profile_id == profile.profile_id


def test_a_rate_that_the_photos_cannot_tell_is_not_claimed() -> None:
    inputs, positive = made_up(160, seed=9)
    judged = judge(inputs, positive, features=False, penalty=1.0, seed=0)
    assert 50 < int(positive.sum()) < 100 <= int((~positive).sum()) < 200
    assert [point.target for point in judged.cat] == [0.01, 0.02, 0.05]
    assert [point.target for point in judged.not_cat] == [0.02, 0.05]


def test_the_float32_head_of_a_profile_is_the_one_that_was_judged() -> None:
    head = scaled(Head(1.0, (0.5, 0.5), np.array([0.1, 0.2])), 2.0, 3.0)
    assert (head.bias, head.mass) == (5.0, (1.0, 1.0))
    assert head.features is not None
    again = Head.from_json(head.to_json())
    assert again.features is not None
    assert again.features.tolist() == head.features.tolist()


def test_wilson_is_that_of_the_books() -> None:
    assert list(wilson(0, 100)) == pytest.approx([0.0, 0.0370], abs=1e-4)
    assert list(wilson(10, 100)) == pytest.approx([0.0552, 0.1744], abs=1e-4)
    assert list(wilson(100, 100)) == pytest.approx([0.9630, 1.0], abs=1e-4)


def test_curves_and_areas() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.5])
    positive = np.array([True, True, False, True, False, False])
    assert auc(scores, positive) == pytest.approx(8 / 9)
    assert auc(np.ones(6), positive) == pytest.approx(0.5)
    false, true, thresholds = roc(scores, positive)
    assert list(zip(false, true, strict=True))[:4] == [
        (0, 0),
        (0, pytest.approx(1 / 3)),
        (0, pytest.approx(2 / 3)),
        (pytest.approx(1 / 3), pytest.approx(2 / 3)),
    ]
    assert thresholds[0] == math.inf
    recall, precision = precision_recall(scores, positive)
    assert (recall[-1], precision[-1]) == (1.0, 0.5)
    assert recall_at_fpr(scores, positive, 0.0).rate == pytest.approx(2 / 3)
    assert recall_at_fpr(scores, positive, 0.34).rate == 1.0


def test_calibration_error_and_mcnemar() -> None:
    scores = np.array([0.05] * 10 + [0.95] * 10)
    right = np.array([False] * 10 + [True] * 10)
    assert expected_calibration_error(scores, right) == pytest.approx(0.05)
    assert expected_calibration_error(scores, ~right) == pytest.approx(0.95)
    first = np.array([True] * 9 + [False] + [True] * 20)
    second = np.array([False] * 9 + [True] + [True] * 20)
    assert mcnemar(first, second) == {"only_first": 9, "only_second": 1, "p": pytest.approx(0.0215, abs=1e-4)}


def test_data_is_a_table_or_folders(tmp_path: Path) -> None:
    for label in ("cat", "not_cat"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_bytes(b"")
    (tmp_path / "not_cat" / "notes.txt").write_bytes(b"")
    found = [(photo.name, photo.label) for photo in labelled_photos(str(tmp_path))]
    assert found == [("cat/a.jpg", "cat"), ("not_cat/a.jpg", "not_cat")]
    table = "\ufefffile,label\ncat/a.jpg,not_cat\nnot_cat/a.jpg,cat\n"  # a spreadsheet's UTF-8
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    found = [(photo.name, photo.label) for photo in labelled_photos(str(tmp_path))]
    assert found == [("cat/a.jpg", "not_cat"), ("not_cat/a.jpg", "cat")]
    (tmp_path / "labels.csv").write_text("file,label\ncat/a.jpg,kitten\n")
    with pytest.raises(NoData, match="'kitten' is no label"):
        labelled_photos(str(tmp_path))
    (tmp_path / "labels.csv").write_text("file,label\ncat/a.jpg,cat\nnot_cat/gone.jpg,not_cat\n")
    with pytest.raises(NoData, match=r"line 3: there is no file 'not_cat/gone\.jpg'"):
        labelled_photos(str(tmp_path))
    for text in ("photo,label\ncat/a.jpg,cat\n", ""):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(NoData, match=r"labels\.csv: its first line must name the columns file and label"):
            labelled_photos(str(tmp_path))
    (tmp_path / "labels.csv").write_bytes(b"file,label\nm\xfcsli.jpg,cat\n")
    with pytest.raises(NoData, match=r"labels\.csv cannot be read as a table"):
        labelled_photos(str(tmp_path))
    with pytest.raises(NoData, match="no such folder"):
        labelled_photos(str(tmp_path / "nowhere"))
