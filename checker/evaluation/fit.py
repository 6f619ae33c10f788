"""Fit the head: two logistic regressions (scikit-learn's), over whole model inputs and over their windows.

Deterministic: the same photos and seed give the same head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from checker.decision.head import Doubles, Head, Linear
from checker.evaluation.augment import PASTED
from checker.evaluation.examples import Examples, Flags, Indices
from checker.values import Floats

FEATURE_PENALTY = 150.0
"""L2 penalty on the weights of features scaled to unit spread. docs/decisions/0002-the-score.md compares it
with others."""
MASS_PENALTY = 1e-3
_PLATT_PENALTY = 1e-6
_TOLERANCE = 1e-4
_AUGMENTED_WEIGHT = 0.5
"""Weight of an augmented photo; the photo itself has weight 1."""
_ROUNDS = 2
_HARDEST = 3
"""Number of windows of a photo without the subject that become examples: those most like the subject."""


def fit(examples: Examples, *, features: bool, penalty: float = FEATURE_PENALTY) -> Head:
    """Fit a head to these examples; its logits are not calibrated yet.

    The labels do not say in which window of a photo the subject is. So each round fits the window weights to
    the window that scored highest with the weights of the previous round: in a photo with the subject this
    window is a positive example, in one without it a negative one.
    """
    weight = np.where(examples.plain, 1.0, _AUGMENTED_WEIGHT)
    pasted_subject = (examples.augmentation == PASTED) & examples.positive
    rows = np.flatnonzero(~pasted_subject)  # a whole input with a pasted subject fits neither label
    whole = linear_fit(
        np.concatenate([examples.odds[rows, :, 0].mean(axis=1), examples.odds[rows, -1, 0]]),
        np.concatenate([examples.features[rows, :, 0].mean(axis=1), examples.features[rows, -1, 0]]),
        np.tile(examples.positive[rows], 2),
        np.tile(weight[rows] / 2, 2),
        features=features,
        penalty=penalty,
    )
    n, inputs, windows = examples.odds.shape
    odds = examples.odds.reshape(n, inputs * windows)
    vectors = examples.features.reshape(n, inputs * windows, examples.features.shape[-1])
    thumbnail = (inputs - 1) * windows
    window = whole
    for _ in range(_ROUNDS):
        best = np.argsort(-_window_logits(window, odds, vectors), axis=1)
        others = np.flatnonzero(~examples.positive)
        hardest = min(_HARDEST, inputs * windows)
        row = np.concatenate([np.flatnonzero(examples.positive), np.repeat(others, hardest)])
        column = np.concatenate([best[examples.positive, 0], best[others, :hardest].ravel()])
        in_thumbnail = np.flatnonzero(examples.positive & ~pasted_subject)  # also shows the subject
        row = np.concatenate([row, in_thumbnail])
        column = np.concatenate([column, np.full(len(in_thumbnail), thumbnail)])
        window = linear_fit(
            odds[row, column],
            vectors[row, column],
            examples.positive[row],
            weight[row],
            features=features,
            penalty=penalty,
        )
    return Head(whole, window)


def _window_logits(linear: Linear, odds: Doubles, vectors: Floats) -> Doubles:
    """Compute ``Linear.logits`` in float32, without a float64 copy of all features."""
    z = linear.bias + linear.mass * odds
    return z if linear.features is None else z + vectors @ linear.features.astype(np.float32)


def linear_fit(
    odds: Doubles, vectors: Floats, positive: Flags, weight: Doubles, *, features: bool, penalty: float
) -> Linear:
    """Fit a logistic regression on log-odds ``(n,)`` and, if ``features``, on features ``(n, D)``."""
    if not features:
        bias, mass = _logistic_regression(
            odds[:, np.newaxis], positive, penalties=np.array([MASS_PENALTY]), sample_weight=weight
        )
        return Linear(bias, float(mass[0]))
    centre, spread = vectors.mean(axis=0, dtype=np.float64), float(vectors.std(dtype=np.float64))
    columns = np.column_stack([odds, (vectors - centre) / spread]).astype(np.float32)
    bias, weights = _logistic_regression(
        columns,
        positive,
        penalties=np.r_[MASS_PENALTY, np.full(vectors.shape[1], penalty)],
        sample_weight=weight,
    )
    slope = (weights[1:] / spread).astype(np.float32).astype(np.float64)  # rounded as in a saved profile
    return Linear(bias - float(centre @ slope), float(weights[0]), slope)


def head_logits(head: Head, examples: Examples) -> Doubles:
    """Compute the score before the sigmoid of many examples, as ``Head.logits`` does for one photo."""
    n = len(examples.odds)
    whole = _window_logits(head.whole, examples.odds[..., 0], examples.features[..., 0, :]).mean(axis=1)
    window = _window_logits(head.window, examples.odds, examples.features).reshape(n, -1).max(axis=1)
    return head.combined(whole, window)


def cross_fitted(
    examples: Examples, *, features: bool, penalty: float, folds: int, seed: int
) -> tuple[Doubles, Indices]:
    """Return each example's logit from a head that was fitted without its photo, and the photo's fold."""
    logits = np.empty(len(examples.positive))
    fold_of = np.empty(int(examples.plain.sum()), dtype=np.int64)
    for number, (_, test) in enumerate(stratified_folds(examples.positive[examples.plain], folds, seed)):
        fold_of[test] = number
    fold = fold_of[examples.photo]
    for number in range(folds):
        head = fit(examples[fold != number], features=features, penalty=penalty)
        logits[fold == number] = head_logits(head, examples[fold == number])
    return logits, fold


def stratified_folds(positive: Flags, folds: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield (train, test) indices: each photo is tested once; both labels are spread evenly over folds."""
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    yield from splitter.split(positive, positive)


def platt(logits: Doubles, positive: Flags) -> tuple[float, float]:
    """Return the slope and shift that turn held-out logits into log-odds.

    Platt's scaling with Platt's targets: n photos of a label, all of them separated, prove no more than
    (n + 1) / (n + 2). With targets of 0 and 1 the slope of well separated photos would grow without bound.
    """
    n, m = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n + 1) / (n + 2), 1 / (m + 2))
    # scikit-learn takes no fractional labels, so each photo appears once with each label, weighted.
    shift, slope = _logistic_regression(
        np.tile(logits, 2)[:, np.newaxis],
        np.repeat([True, False], len(logits)),
        penalties=np.array([_PLATT_PENALTY]),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    return float(slope[0]), shift


def scaled(head: Head, slope: float, shift: float) -> Head:
    """Return the head whose logits are ``slope * logits + shift``."""
    return replace(head, slope=slope * head.slope, bias=slope * head.bias + shift)


def _logistic_regression(
    columns: Doubles | Floats, positive: Flags, *, penalties: Doubles, sample_weight: Doubles
) -> tuple[float, Doubles]:
    """Return intercept (unpenalised) and weights that minimise summed log loss + penalties / 2 * weights**2.

    scikit-learn has one penalty for all weights, so each column is divided by the square root of its penalty.
    """
    scale: Any = (1 / np.sqrt(penalties)).astype(columns.dtype)
    model = LogisticRegression(C=1.0, solver="lbfgs", tol=_TOLERANCE, max_iter=1000)
    model.fit(columns * scale, positive, sample_weight=sample_weight)
    return float(model.intercept_[0]), model.coef_[0].astype(np.float64) * scale
