"""The orientation of a photo: whether its features are those of a turned photo.

``scripts/fit_orientation.py`` makes a file for each model: a logistic regression on the pooled features, and
the limits of its log-odds.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checker.decision.head import Doubles, Linear
from checker.errors import ModelRefused
from checker.values import Floats

VERSION = "orientation"
"""Key of ``ModelInfo.versions``."""
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
    version: str
    """The first digits of the file's SHA-256."""

    def logits(self, features: Floats) -> Doubles:
        """Compute the log-odds that photos are turned, float64 ``(...)``.

        Args:
            features: ``(..., inputs, W, D)``. Only whole inputs are evaluated.
        """
        whole = features[..., 0, :]
        return np.asarray(self.linear.logits(np.zeros(whole.shape[:-1]), whole).mean(axis=-1))


def load_orientation(path: Path) -> Orientation:
    """Read a file of ``FOLDER``.

    Raises:
        ModelRefused: the file is damaged.
    """
    try:
        content = path.read_bytes()
        data = json.loads(content)
        return Orientation(
            weights_sha256=tuple(data["weights_sha256"]),
            linear=Linear.from_json(data["linear"]),
            turned_at=float(data["turned_at"]),
            margin=float(data["margin"]),
            version=hashlib.sha256(content).hexdigest()[:8],
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelRefused(f"{path} is damaged; install this program again") from error


@functools.cache
def _shipped() -> tuple[Orientation, ...]:
    return tuple(load_orientation(path) for path in sorted(FOLDER.glob("*.json")))


def fitted_orientation(*weights_sha256: str) -> Orientation | None:
    """Find the fit for any of these weights; None: there is none. Raises as ``load_orientation`` does."""
    return next((one for one in _shipped() if not {*weights_sha256}.isdisjoint(one.weights_sha256)), None)


def orientation_version(*weights_sha256: str) -> dict[str, str]:
    """Return the entry of ``ModelInfo.versions`` for the fit of these weights; empty: there is none.

    Args:
        weights_sha256: digests of the weights that run, and of those that they were made from.

    Raises as ``load_orientation`` does.
    """
    orientation = fitted_orientation(*weights_sha256)
    return {} if orientation is None else {VERSION: orientation.version}


def orientation_in(versions: Mapping[str, str]) -> Orientation | None:
    """Return the fit that ``ModelInfo.versions`` names. Raises as ``load_orientation`` does."""
    return next((one for one in _shipped() if one.version == versions.get(VERSION)), None)
