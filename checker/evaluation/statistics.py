"""Rates with intervals, curves and calibration errors in numpy. Scores are float64 ``(n,)``, labels bool."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.decision.profile import Rate

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def wilson(errors: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for a share: holds its level near 0 and 1, where these rates live."""
    if n == 0:
        return 0.0, 1.0
    p = errors / n
    middle = p + z * z / (2 * n)
    reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if errors == 0 else (middle - reach) / scale
    high = 1.0 if errors == n else (middle + reach) / scale
    return low, high


def rate(errors: int, n: int) -> Rate:
    low, high = wilson(errors, n)
    return Rate(errors=int(errors), n=int(n), rate=errors / n if n else 0.0, low=low, high=high)


def recall(missed: int, n: int) -> Rate:
    """``errors`` counts the missed ones; ``rate`` is the share found."""
    low, high = wilson(n - missed, n)
    return Rate(errors=int(missed), n=int(n), rate=1 - missed / n if n else 0.0, low=low, high=high)


def threshold_for_fpr(negatives: Doubles, target: float) -> float:
    """The lowest threshold that at most ``target`` of these very negatives reach."""
    falling = np.sort(negatives)[::-1]
    allowed = min(math.floor(target * len(falling) + 1e-9), len(falling) - 1)
    return float(np.nextafter(falling[allowed], math.inf))


def auc(scores: Doubles, positive: Flags) -> float:
    """Chance that a positive outranks a negative; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else math.nan


def roc(scores: Doubles, positive: Flags) -> tuple[Doubles, Doubles, Doubles]:
    """False positive rate, recall and threshold at every distinct score, from strict to lax."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    true = np.cumsum(hits)[ends] / max(int(positive.sum()), 1)
    false = np.cumsum(~hits)[ends] / max(int((~positive).sum()), 1)
    return (
        np.concatenate([[0.0], false]),
        np.concatenate([[0.0], true]),
        np.concatenate([[math.inf], ranked[ends]]),
    )


def precision_recall(scores: Doubles, positive: Flags) -> tuple[Doubles, Doubles]:
    """Recall and precision at every distinct score, from strict to lax."""
    false, true, _ = roc(scores, positive)
    hits, errors = true * positive.sum(), false * (~positive).sum()
    called = hits + errors
    with np.errstate(invalid="ignore"):
        precision = np.where(called > 0, hits / np.maximum(called, 1), 1.0)
    return true, precision


def recall_at_fpr(scores: Doubles, positive: Flags, target: float) -> Rate:
    """Recall where the threshold is chosen on these very photos: optimistic, good for comparing models."""
    threshold = threshold_for_fpr(scores[~positive], target)
    return recall(int((scores[positive] < threshold).sum()), int(positive.sum()))


def reliability(scores: Doubles, positive: Flags, bins: int = 10) -> list[dict[str, float]]:
    """Mean score, share of positives and count of each filled bin of equal width."""
    which = np.minimum((scores * bins).astype(int), bins - 1)
    rows = []
    for index in range(bins):
        inside = which == index
        if inside.any():
            rows.append(
                {
                    "score": float(scores[inside].mean()),
                    "share": float(positive[inside].mean()),
                    "n": int(inside.sum()),
                }
            )
    return rows


def expected_calibration_error(scores: Doubles, positive: Flags, bins: int = 10) -> float:
    rows = reliability(scores, positive, bins)
    return float(sum(row["n"] * abs(row["score"] - row["share"]) for row in rows) / max(len(scores), 1))


def mcnemar(first_right: Flags, second_right: Flags) -> dict[str, Any]:
    """Exact two-sided McNemar test on the photos where just one of two models is right."""
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return {"only_first": only_first, "only_second": only_second, "p": min(1.0, 2 * tail)}
