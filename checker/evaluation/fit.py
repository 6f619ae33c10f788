"""Fit the head: a logistic regression (scikit-learn's) over both renditions of each photo.

Deterministic: the same photos and seed give the same head. Doubles throughout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from checker.decision.head import Head, log_odds
from checker.decision.subject import Subject
from checker.values import Evidence

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

FEATURE_PENALTY = 30.0
"""L2, on the weights of features scaled to unit spread. From 10 to 100 the held-out loss hardly moves."""
MASS_PENALTY = 1e-3
_PLATT_PENALTY = 1e-6
_TOLERANCE = 1e-6
"""Of the largest component of the mean loss's gradient: weights are exact to about five digits."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Input of a head for n photos: log-odds ``(n, 2)`` (photo, thumbnail), features ``(n, D)`` of both."""

    odds: Doubles
    photo: Doubles
    thumbnail: Doubles

    @classmethod
    def of(cls, subject: Subject, evidence: Evidence) -> Inputs:
        renditions = (evidence.photo, evidence.thumbnail)
        odds = np.stack([log_odds(rendition.logits, subject) for rendition in renditions], axis=1)
        return cls(odds, *(rendition.features.astype(np.float64) for rendition in renditions))

    def __getitem__(self, selection: Indices | Flags) -> Inputs:
        return Inputs(self.odds[selection], self.photo[selection], self.thumbnail[selection])

    def logits(self, head: Head) -> Doubles:
        """The score before the sigmoid, as ``Head.scores`` computes it."""
        z = head.bias + self.odds @ np.array(head.mass)
        if head.features is not None:
            z = z + 0.5 * (self.photo + self.thumbnail) @ head.features
        return np.asarray(z)


def fit(
    inputs: Inputs,
    positive: Flags,
    *,
    features: bool,
    penalty: float = FEATURE_PENALTY,
    single_renditions: bool = True,
) -> Head:
    """Fit a head to these photos; its logits are not calibrated yet.

    Args:
        single_renditions: each photo is three examples that weigh a third each: both renditions averaged, as
            they will be judged, and each rendition alone. Augmentation that costs nothing when serving;
            ``scripts/compare_scores.py`` measures its worth.
    """
    if not features:
        bias, mass = _logistic_regression(inputs.odds, positive, penalties=np.full(2, MASS_PENALTY))
        return Head(bias, (float(mass[0]), float(mass[1])))
    rows = 0.5 * (inputs.photo + inputs.thumbnail)
    # One weight for both log-odds: two would only fit the noise between these near twins.
    odds = inputs.odds.mean(axis=1)
    if single_renditions:
        rows = np.concatenate([rows, inputs.photo, inputs.thumbnail])
        odds = np.concatenate([odds, inputs.odds[:, 0], inputs.odds[:, 1]])
    copies = len(rows) // len(positive)
    centre, spread = rows.mean(axis=0), rows.std()
    bias, weights = _logistic_regression(
        np.column_stack([odds, (rows - centre) / spread]),
        np.tile(positive, copies),
        penalties=np.r_[MASS_PENALTY, np.full(rows.shape[1], penalty)],
        sample_weight=np.full(len(rows), 1 / copies),
    )
    slope = weights[1:] / spread
    half = 0.5 * float(weights[0])
    return Head(bias - float(centre @ slope), (half, half), slope)


def cross_fitted(
    inputs: Inputs, positive: Flags, *, features: bool, penalty: float, folds: int, seed: int
) -> Doubles:
    """Return each photo's logit by a head that was fitted without it."""
    logits = np.empty(len(positive))
    for train, test in stratified_folds(positive, folds, seed):
        head = fit(inputs[train], positive[train], features=features, penalty=penalty)
        logits[test] = inputs[test].logits(head)
    return logits


def stratified_folds(positive: Flags, folds: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield (train, test) indices: each photo is tested once, both labels are spread evenly."""
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    yield from splitter.split(positive, positive)


def platt(logits: Doubles, positive: Flags) -> tuple[float, float]:
    """Return the slope and shift that turn held-out logits into log-odds.

    Platt's scaling with Platt's targets: n photos of a label, all of them separated, prove no more than
    (n + 1) / (n + 2). With targets of 0 and 1 the slope of well separated photos would grow without bound.
    """
    n, m = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n + 1) / (n + 2), 1 / (m + 2))
    # scikit-learn takes no fractional labels: each photo stands once with either label, weighted by it.
    shift, slope = _logistic_regression(
        np.tile(logits, 2)[:, np.newaxis],
        np.repeat([True, False], len(logits)),
        penalties=np.array([_PLATT_PENALTY]),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    return float(slope[0]), shift


def scaled(head: Head, slope: float, shift: float) -> Head:
    """Return the head whose logits are ``slope * logits + shift``; float32 features, as in a profile."""
    features = None
    if head.features is not None:
        features = (slope * head.features).astype(np.float32).astype(np.float64)
    return Head(slope * head.bias + shift, (slope * head.mass[0], slope * head.mass[1]), features)


def _logistic_regression(
    columns: Doubles, positive: Flags, *, penalties: Doubles, sample_weight: Doubles | None = None
) -> tuple[float, Doubles]:
    """Return intercept (unpenalised) and weights that minimise summed log loss + penalties / 2 * weights**2.

    scikit-learn has one penalty for all weights, so each column is divided by the root of its own.
    """
    scale = 1 / np.sqrt(penalties)
    model = LogisticRegression(C=1.0, solver="newton-cg", tol=_TOLERANCE, max_iter=1000)
    model.fit(columns * scale, positive, sample_weight=sample_weight)
    return float(model.intercept_[0]), model.coef_[0] * scale
