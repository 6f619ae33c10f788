"""The head: activations of both renditions to one score."""

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

CLIP = 30.0
"""Bound of the log-odds: more carries no information, and one class alone must not outweigh all else."""


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
class Head:
    """A logistic regression over both renditions, fitted by the calibration.

    Score = sigmoid(bias + mass . (log-odds of photo, thumbnail) + features . mean of both features).
    """

    bias: float = 0.0
    mass: tuple[float, float] = (0.5, 0.5)
    features: Doubles | None = None
    """float64 ``(D,)``; None: the softmax mass alone decides."""

    def scores(self, subject: Subject, evidence: Evidence) -> Doubles:
        """Score one photo, float64 ``()``, or N photos, float64 ``(N,)``: 0..1.

        Raises:
            ModelRefused: the head was fitted for features of another size.
        """
        photo, thumbnail = evidence.photo, evidence.thumbnail
        z = self.bias + self.mass[0] * log_odds(photo.logits, subject)
        z = z + self.mass[1] * log_odds(thumbnail.logits, subject)
        if self.features is not None:
            if photo.features.shape[-1] != self.features.shape[0]:
                got, expected = photo.features.shape[-1], self.features.shape[0]
                raise ModelRefused(f"the profile's head takes {expected} features, the model gives {got}")
            pooled = 0.5 * (photo.features.astype(np.float64) + thumbnail.features.astype(np.float64))
            z = z + (pooled * self.features).sum(axis=-1)
        return sigmoid(np.asarray(z))

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"bias": self.bias, "mass": list(self.mass)}
        if self.features is not None:
            data["features_float32"] = base64.b64encode(self.features.astype("<f4").tobytes()).decode("ascii")
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Head:
        photo, thumbnail = data["mass"]
        packed = data.get("features_float32")
        features = None
        if packed is not None:
            features = np.frombuffer(base64.b64decode(packed, validate=True), dtype="<f4").astype(np.float64)
        return cls(float(data["bias"]), (float(photo), float(thumbnail)), features)
