"""The head: from the activations of a photo's inputs and their windows to one score."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.values import Evidence, Floats

Doubles = npt.NDArray[np.float64]

KNEE, BEYOND = -3.0, 0.3
"""Log-odds up to which a window counts in full, and the share of the excess above them that counts. With a
higher knee or share more dogs pass because of a single window, so the threshold must rise and loses cats;
with a lower knee or share small cats are not found. docs/decisions/0002-the-score.md has the figures."""
CLIP = 30.0
"""Bound of the log-odds: larger values carry no information, and one class must not outweigh all others."""


def log_sum_exp(values: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Compute ln(sum(e**x)) over the last axis, in float64."""
    top = values.max(axis=-1, keepdims=True).astype(np.float64)
    total: Doubles = np.log(np.exp(values - top).sum(axis=-1)) + top[..., 0]
    return total


def log_odds(logits: Floats, subject: Subject) -> Doubles:
    """Compute ln(p / (1 - p)), within ``CLIP``, of the subject's softmax mass p; logits ``(..., 1000)``."""
    of_subject = np.zeros(logits.shape[-1], dtype=bool)
    of_subject[list(subject.classes)] = True
    odds = log_sum_exp(logits[..., of_subject]) - log_sum_exp(logits[..., ~of_subject])
    return np.clip(odds, -CLIP, CLIP)


def sigmoid(z: Doubles) -> Doubles:
    """Compute 1 / (1 + e**-z) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Log-odds of one window: bias + mass * (log-odds of the softmax mass) + features . (its features)."""

    bias: float = 0.0
    mass: float = 1.0
    features: Doubles | None = None
    """float64 ``(D,)``; None: the softmax mass alone decides."""

    def logits(self, odds: Doubles, features: Floats) -> Doubles:
        """Compute the log-odds of windows ``(...)`` with features ``(..., D)``.

        Raises:
            ModelRefused: the weights are for features of another size.
        """
        z = self.bias + self.mass * odds
        if self.features is None:
            return z
        if features.shape[-1] != self.features.shape[0]:
            got, expected = features.shape[-1], self.features.shape[0]
            raise ModelRefused(f"the profile's head takes {expected} features, the model gives {got}")
        return np.asarray(z + (features.astype(np.float64) * self.features).sum(axis=-1))

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"bias": self.bias, "mass": self.mass}
        if self.features is not None:
            data["features_float32"] = base64.b64encode(self.features.astype("<f4").tobytes()).decode("ascii")
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Linear:
        packed = data.get("features_float32")
        features = None
        if packed is not None:
            features = np.frombuffer(base64.b64decode(packed, validate=True), dtype="<f4").astype(np.float64)
        return cls(float(data["bias"]), float(data["mass"]), features)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Two logistic regressions, fitted by the calibration: over whole model inputs, and over their windows.

    ``whole``, averaged over a photo's inputs, is reliable for the photo as a whole. ``window``, taken where
    it is highest, finds a small subject anywhere in the photo, but also more dogs that look like the subject.
    So a high window alone keeps the photo from being ruled out, but counts as the subject only if the window
    is far more certain than the whole needs to be: score = sigmoid(bias + slope * max(whole, bent(window))),
    see ``combined``.
    """

    whole: Linear = Linear()
    window: Linear = Linear()
    knee: float = KNEE
    beyond: float = BEYOND
    slope: float = 1.0
    bias: float = 0.0

    def scores(self, subject: Subject, evidence: Evidence) -> Doubles:
        """Score one photo, float64 ``()``, or N photos, float64 ``(N,)``: 0..1.

        Raises:
            ModelRefused: the head was fitted for features of another size.
        """
        return sigmoid(self.logits(log_odds(evidence.logits, subject), evidence.features))

    def logits(self, odds: Doubles, features: Floats) -> Doubles:
        """Compute the score before the sigmoid.

        Args:
            odds: log-odds of the softmax mass, ``(..., inputs, W)``.
            features: ``(..., inputs, W, D)``.
        """
        whole = self.whole.logits(odds[..., 0], features[..., 0, :]).mean(axis=-1)
        window = self.window.logits(odds, features).max(axis=(-2, -1))
        return self.combined(whole, window)

    def combined(self, whole: Doubles, window: Doubles) -> Doubles:
        """Combine the log-odds of the whole with those of the best window.

        The window's log-odds are bent at ``knee``: of the excess above it, the share ``beyond`` counts.
        """
        above = np.maximum(window - self.knee, 0.0)
        bent = np.minimum(window, self.knee) + self.beyond * above
        return np.asarray(self.bias + self.slope * np.maximum(whole, bent), dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        return {
            "bias": self.bias,
            "slope": self.slope,
            "knee": self.knee,
            "beyond": self.beyond,
            "whole": self.whole.to_json(),
            "window": self.window.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Head:
        return cls(
            whole=Linear.from_json(data["whole"]),
            window=Linear.from_json(data["window"]),
            knee=float(data["knee"]),
            beyond=float(data["beyond"]),
            slope=float(data["slope"]),
            bias=float(data["bias"]),
        )
