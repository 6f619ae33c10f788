"""Made-up inputs of a head whose truth is known."""

from __future__ import annotations

import numpy as np

from checker.evaluation.fit import Flags, Inputs

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
