"""Curves, calibration errors and tests of rates. Scores are float64 ``(n,)``, labels bool ``(n,)``."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from checker.decision.profile import Rate
from checker.evaluation.intervals import recall, wilson

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_BINS = 10
"""Number of bins of the scores, for calibration errors."""


def photos_to_tell(share: float, from_share: float) -> int:
    """Smallest number of photos on which the interval of an observed ``share`` ends below ``from_share``."""
    if not 0 <= share < from_share < 1:
        raise ValueError(f"{share} is not below {from_share}")

    def can_tell(n: int) -> bool:
        return wilson(share * n, n)[1] < from_share

    enough = 1
    while not can_tell(enough):
        enough *= 2
    candidates = range(1, enough + 1)
    return candidates[bisect_left(candidates, True, key=can_tell)]


def auc(scores: Doubles, positive: Flags) -> float:
    """Probability that a positive outranks a negative, ties counting half; NaN if either is missing."""
    return float(roc_auc_score(positive, scores)) if positive.any() and not positive.all() else math.nan


def recall_at_fpr(scores: Doubles, positive: Flags, target: float) -> Rate:
    """Recall at the lowest threshold that at most a share ``target`` of these same negatives reaches.

    Optimistic, because the threshold is chosen on the judged photos: good only for comparing models.
    """
    false_positive_rate, _, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    threshold = thresholds[false_positive_rate <= target + 1e-12].min()
    return recall(int((scores[positive] < threshold).sum()), int(positive.sum()))


def reliability(scores: Doubles, positive: Flags) -> list[dict[str, float]]:
    """Mean score, share of positives and count of each filled bin of equal width."""
    shares, means = calibration_curve(positive, scores, n_bins=_BINS)
    edges = np.linspace(0, 1, _BINS + 1)[1:-1]  # the edges of calibration_curve, which returns no counts
    counts = np.bincount(np.searchsorted(edges, scores), minlength=_BINS)
    return [
        {"score": float(mean), "share": float(share), "n": int(n)}
        for mean, share, n in zip(means, shares, counts[counts > 0], strict=True)
    ]


def expected_calibration_error(scores: Doubles, positive: Flags) -> float:
    """Mean distance between score and share of positives, each bin weighted by its photos."""
    rows = reliability(scores, positive)
    return sum(row["n"] * abs(row["score"] - row["share"]) for row in rows) / len(scores)


def mcnemar(first_right: Flags, second_right: Flags) -> dict[str, Any]:
    """Exact two-sided McNemar test on the photos for which only one of two models is right."""
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": p}
