"""Fitting the head: logistic regression by Newton's method with conjugate gradients, in numpy alone.

Deterministic: the same photos and seed give the same head. Doubles throughout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from checker.decision.head import Head, log_odds, sigmoid
from checker.decision.subject import Subject
from checker.ports import Evidence

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

FEATURE_PENALTY = 30.0
"""L2, on the weights of features scaled to unit spread. From 10 to 100 the held-out loss hardly moves."""
MASS_PENALTY = 1e-3
_STEPS, _INNER_STEPS, _TOLERANCE = 60, 100, 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What a head sees of n photos: log-odds ``(n, 2)`` (photo, thumbnail), features ``(n, D)`` of both."""

    odds: Doubles
    photo: Doubles
    thumbnail: Doubles

    @classmethod
    def of(cls, subject: Subject, evidence: Evidence) -> Inputs:
        renditions = (evidence.photo, evidence.thumbnail)
        odds = np.stack([log_odds(rendition.logits, subject) for rendition in renditions], axis=1)
        return cls(odds, *(rendition.features.astype(np.float64) for rendition in renditions))

    def __getitem__(self, chosen: Indices | Flags) -> Inputs:
        return Inputs(self.odds[chosen], self.photo[chosen], self.thumbnail[chosen])

    def logits(self, head: Head) -> Doubles:
        """The score before the sigmoid, as ``Head.scores`` has it."""
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
    alone: bool = True,
) -> Head:
    """A head for these photos; not yet calibrated.

    Args:
        alone: each photo is three examples of a third each: both views averaged, as they will be judged, and
            each view alone. Augmentation for free; ``compare_scores.py`` says what it is worth.
    """
    y = positive.astype(np.float64)
    if not features:
        weights = _newton(
            np.c_[np.ones(len(y)), inputs.odds],
            y,
            np.ones(len(y)),
            np.array([0.0, MASS_PENALTY, MASS_PENALTY]),
        )
        return Head(float(weights[0]), (float(weights[1]), float(weights[2])))
    averages = 0.5 * (inputs.photo + inputs.thumbnail)
    rows = np.concatenate([averages, inputs.photo, inputs.thumbnail]) if alone else averages
    # One weight for both views' log-odds: apart, these two twins would only fit the noise between them.
    odds = inputs.odds.mean(axis=1)
    if alone:
        odds = np.concatenate([odds, inputs.odds[:, 0], inputs.odds[:, 1]])
    copies = len(rows) // len(y)
    centre, spread = rows.mean(axis=0), rows.std()
    design = np.c_[np.ones(len(rows)), odds, (rows - centre) / spread]
    penalties = np.r_[0.0, MASS_PENALTY, np.full(rows.shape[1], penalty)]
    weights = _newton(design, np.tile(y, copies), np.full(len(rows), 1 / copies), penalties)
    slope = weights[2:] / spread
    half = 0.5 * float(weights[1])
    return Head(float(weights[0] - centre @ slope), (half, half), slope)


def cross_fitted(
    inputs: Inputs, positive: Flags, *, features: bool, penalty: float, folds: int, seed: int
) -> Doubles:
    """Each photo's logit by a head that was fitted without it."""
    logits = np.empty(len(positive))
    for train, test in stratified(positive, folds, seed):
        logits[test] = inputs[test].logits(
            fit(inputs[train], positive[train], features=features, penalty=penalty)
        )
    return logits


def stratified(positive: Flags, folds: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """(train, test) indices: every photo is tested once, both labels are spread evenly."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(positive), dtype=np.int64)
    for label in (False, True):
        members = np.flatnonzero(positive == label)
        rng.shuffle(members)
        fold[members] = np.arange(len(members)) % folds
    for number in range(folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def platt(logits: Doubles, positive: Flags) -> tuple[float, float]:
    """Slope and shift that make held-out logits read as log-odds.

    Platt's scaling with Platt's targets: n photos of a label, all told apart, prove no more than
    (n + 1) / (n + 2). With 0 and 1 the slope of well separated photos would grow without bound.
    """
    n, m = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n + 1) / (n + 2), 1 / (m + 2))
    design = np.c_[np.ones(len(logits)), logits]
    shift, slope = _newton(design, targets, np.ones(len(logits)), np.array([1e-6, 1e-6]))
    return float(slope), float(shift)


def scaled(head: Head, slope: float, shift: float) -> Head:
    """The head whose logits are ``slope * logits + shift``; float32 features, as a profile keeps them."""
    kept = None
    if head.features is not None:
        kept = (slope * head.features).astype(np.float32).astype(np.float64)
    return Head(slope * head.bias + shift, (slope * head.mass[0], slope * head.mass[1]), kept)


def _newton(design: Doubles, y: Doubles, weight: Doubles, penalty: Doubles) -> Doubles:
    """Minimise weighted log loss + penalty/2 * w**2."""

    def loss(w: Doubles, z: Doubles) -> float:
        return float((weight * (np.logaddexp(0, z) - y * z)).sum() + 0.5 * (penalty * w * w).sum())

    w = np.zeros(design.shape[1])
    z = np.zeros(len(y))
    now, first = loss(w, z), 0.0
    for _ in range(_STEPS):
        p = sigmoid(z)
        gradient = design.T @ (weight * (p - y)) + penalty * w
        size = float(np.linalg.norm(gradient))
        first = first or size
        if size < _TOLERANCE * np.sqrt(len(y)):
            break
        step = _solve(design, weight * p * (1 - p), penalty, gradient, min(0.1, np.sqrt(size / first)))
        along, descent, length = design @ step, float(gradient @ step), 1.0
        while (new := loss(w + length * step, z + length * along)) > now + 1e-4 * length * descent:
            length /= 2
            if length < 1e-9:
                return w
        w, z, now = w + length * step, z + length * along, new
    return w


def _solve(
    design: Doubles, curvature: Doubles, penalty: Doubles, gradient: Doubles, within: float
) -> Doubles:
    """Newton's step by conjugate gradients, preconditioned by the Hessian's diagonal."""
    diagonal = curvature @ (design * design) + penalty + 1e-12
    step = np.zeros_like(gradient)
    residual = -gradient
    scaled_residual = residual / diagonal
    direction, energy = scaled_residual, float(residual @ scaled_residual)
    enough = within * float(np.linalg.norm(residual))
    for _ in range(_INNER_STEPS):
        bent = design.T @ (curvature * (design @ direction)) + penalty * direction
        length = energy / float(direction @ bent)
        step = step + length * direction
        residual = residual - length * bent
        if float(np.linalg.norm(residual)) < enough:
            break
        scaled_residual = residual / diagonal
        new_energy = float(residual @ scaled_residual)
        direction, energy = scaled_residual + new_energy / energy * direction, new_energy
    return step
