"""Synthetic photos for the tests of fitting and evaluation."""

from __future__ import annotations

import numpy as np

from checker.evaluation.examples import PLAIN, Examples

FEATURES, INPUTS, WINDOWS = 24, 3, 2


def made_up(n: int, seed: int, separation: float = 1.0) -> Examples:
    """Make photos, a third of which are positive.

    Log-odds and some features separate them, in every window, with noise. Even photos are dogs, odd ones are
    other things; both are named after their kind.
    """
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 1 / 3
    sign = np.where(positive, 1.0, -1.0) * separation
    odds = (1.5 * sign + 2.0 * rng.normal(size=n))[:, None, None] + rng.normal(size=(n, INPUTS, WINDOWS))
    direction = np.zeros(FEATURES)
    direction[:6] = 0.8
    features = sign[:, None, None, None] * direction + rng.normal(size=(n, INPUTS, WINDOWS, FEATURES))
    return Examples(
        odds=odds,
        features=features.astype(np.float32),
        positive=positive,
        soft=np.zeros(n, dtype=bool),
        augmentation=np.full(n, PLAIN, dtype="U8"),
        photo=np.arange(n),
        kinds=np.where(np.arange(n) % 2, "other", "dog"),
    )
