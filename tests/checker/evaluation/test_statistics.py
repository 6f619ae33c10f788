from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from checker.evaluation.intervals import rate, recall, wilson
from checker.evaluation.statistics import (
    auc,
    expected_calibration_error,
    mcnemar,
    photos_to_tell,
    recall_at_fpr,
    reliability,
)

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.5])
POSITIVE = np.array([True, True, False, True, False, False])


def test_wilson_intervals_equal_the_textbooks() -> None:
    assert list(wilson(0, 100)) == pytest.approx([0.0, 0.0370], abs=1e-4)
    assert list(wilson(10, 100)) == pytest.approx([0.0552, 0.1744], abs=1e-4)
    assert list(wilson(100, 100)) == pytest.approx([0.9630, 1.0], abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert list(wilson(7.5, 1500)) == pytest.approx([0.0025, 0.0100], abs=1e-4)  # 0.5 %
    for errors, n in ((0, 1), (1, 1), (3, 7), (5, 4000)):
        interval = binomtest(errors, n).proportion_ci(0.95, method="wilson")
        assert wilson(errors, n) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_a_rate_counts_errors_and_a_recall_counts_misses() -> None:
    errors, hits = rate(1, 10), recall(1, 10)
    assert (errors.errors, errors.n) == (hits.errors, hits.n) == (1, 10)
    assert [errors.rate, hits.rate] == pytest.approx([0.1, 0.9])
    assert [hits.low, hits.high] == pytest.approx([1 - errors.high, 1 - errors.low])


def test_auc_counts_ties_half_and_needs_both_labels() -> None:
    assert auc(SCORES, POSITIVE) == pytest.approx(8 / 9)
    assert auc(np.ones(6), POSITIVE) == pytest.approx(0.5)
    assert math.isnan(auc(SCORES, np.ones(6, bool)))
    assert math.isnan(auc(SCORES, np.zeros(6, bool)))


@pytest.mark.parametrize(("target", "recalled"), [(0.0, 2), (0.33, 2), (1 / 3, 3), (0.34, 3), (1.0, 3)])
def test_recall_is_measured_at_the_lowest_threshold_within_the_false_positive_rate(
    target: float, recalled: int
) -> None:
    at_target = recall_at_fpr(SCORES, POSITIVE, target)
    assert (at_target.errors, at_target.n) == (3 - recalled, 3)
    assert at_target.rate == pytest.approx(recalled / 3)


def test_a_negative_with_the_highest_score_leaves_no_recall_at_rate_zero() -> None:
    assert recall_at_fpr(SCORES, ~POSITIVE, 0.0).rate == 0.0


def test_the_calibration_error_is_the_distance_of_scores_from_shares() -> None:
    scores = np.array([0.05] * 10 + [0.95] * 10)
    right = np.array([False] * 10 + [True] * 10)
    assert expected_calibration_error(scores, right) == pytest.approx(0.05)
    assert expected_calibration_error(scores, ~right) == pytest.approx(0.95)


def test_each_score_is_counted_in_one_bin_edges_included() -> None:
    rows = reliability(np.array([0.0, 0.1, 0.1, 0.15, 1.0]), np.array([False, False, True, True, True]))
    assert [(row["n"], row["share"]) for row in rows] == [(3, pytest.approx(1 / 3)), (1, 1.0), (1, 1.0)]
    assert [row["score"] for row in rows] == pytest.approx([0.2 / 3, 0.15, 1.0])


def test_mcnemar_is_the_exact_test_on_the_discordant_photos() -> None:
    first = np.array([True] * 9 + [False] + [True] * 20)
    second = np.array([False] * 9 + [True] + [True] * 20)
    assert mcnemar(first, second) == {"only_first": 9, "only_second": 1, "p": pytest.approx(0.0215, abs=1e-4)}
    assert mcnemar(first, first)["p"] == 1.0


def test_the_number_of_photos_to_tell_two_rates_apart_is_minimal() -> None:
    n = photos_to_tell(0.005, 0.01)
    assert wilson(0.005 * n, n)[1] < 0.01 <= wilson(0.005 * (n - 1), n - 1)[1]
    assert 1400 < n < 1600
    with pytest.raises(ValueError, match=r"0\.01 is not below 0\.01"):
        photos_to_tell(0.01, 0.01)
