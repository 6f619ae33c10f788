"""The orientation of a photo: whether its features are those of a turned photo.

``scripts/fit_orientation.py`` makes a file for each model: a logistic regression on the pooled features, and
the limits of its log-odds.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checker.decision.head import Doubles, Linear
from checker.errors import ModelRefused
from checker.values import Floats

FOLDER = Path(__file__).resolve().parents[2] / "models" / "orientation"


@dataclass(frozen=True, slots=True, eq=False)
class Orientation:
    """A fit that tells turned photos (on their side or upside down) from upright ones."""

    weights_sha256: tuple[str, ...]
    """Digests of the weights whose features it takes: those of one model in all its precisions."""
    linear: Linear
    turned_at: float
    """A photo with higher log-odds is examined in other orientations."""
    margin: float
    """Log-odds by which another orientation must look more upright to be the one that is judged."""

    def logits(self, features: Floats) -> Doubles:
        """Compute the log-odds that photos are turned, float64 ``(...)``.

        Args:
            features: ``(..., inputs, W, D)``. Only whole inputs are evaluated.

        Raises:
            ModelRefused: it was fitted for features of another size.
        """
        whole = features[..., 0, :]
        return np.asarray(self.linear.logits(np.zeros(whole.shape[:-1]), whole).mean(axis=-1))


def load_orientation(path: Path) -> Orientation:
    """Read a file of ``FOLDER``.

    Raises:
        ModelRefused: the file is damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        linear = Linear.from_json(data["linear"])
        return Orientation(
            tuple(data["weights_sha256"]), linear, float(data["turned_at"]), float(data["margin"])
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelRefused(f"{path} is damaged; install this program again") from error


@functools.cache
def orientation_of(weights_sha256: str) -> Orientation | None:
    """Find the fit for these weights; None: there is none. Raises as ``load_orientation`` does."""
    for path in sorted(FOLDER.glob("*.json")):
        if weights_sha256 in (orientation := load_orientation(path)).weights_sha256:
            return orientation
    return None
