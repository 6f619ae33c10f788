"""The examples that a head is fitted on and judged by: photos and their augmentations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.decision.head import Doubles, log_odds
from checker.decision.subject import Subject
from checker.evaluation.measure import Measured
from checker.values import Floats

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Strings = npt.NDArray[np.str_]

PLAIN = ""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Photos and their augmentations, as a head sees them. Row i of every array is example i."""

    odds: Doubles
    """Log-odds of the subject's softmax mass, ``(n, inputs, W)``."""
    features: Floats
    """``(n, inputs, W, D)``; D is 0 if no features are fitted."""
    positive: Flags
    soft: Flags
    augmentation: Strings
    """``PLAIN``, ``SOFT`` or ``PASTED``."""
    photo: Indices
    """Number of the photo; its augmentations have the same number."""
    kinds: Strings

    @classmethod
    def of(cls, subject: Subject, measured: Measured) -> Examples:
        """Collect all examples except wild felines; ``photo`` numbers the plain examples from 0."""
        known = np.flatnonzero(~measured.wild)
        number = np.full(len(measured.labels), -1)
        number[known] = np.arange(len(known))
        source, augmentation = known, np.full(len(known), PLAIN, dtype="U8")
        parts = [measured.evidence[known]]
        if measured.augmented is not None:
            rows = np.flatnonzero(~measured.wild[measured.augmented.photo])
            source = np.concatenate([source, measured.augmented.photo[rows]])
            augmentation = np.concatenate([augmentation, measured.augmented.augmentation[rows]])
            parts.append(measured.augmented.evidence[rows])
        return cls(
            odds=np.concatenate([log_odds(part.logits, subject) for part in parts]),
            features=np.concatenate([part.features for part in parts]),
            positive=measured.positive[source],
            soft=np.concatenate([part.soft for part in parts]),
            augmentation=augmentation,
            photo=number[source],
            kinds=measured.kinds[source],
        )

    def __getitem__(self, selection: Indices | Flags) -> Examples:
        return Examples(*(getattr(self, field.name)[selection] for field in fields(self)))

    @property
    def plain(self) -> Flags:
        return np.asarray(self.augmentation == PLAIN)


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSet:
    """The measurements that a profile is made from."""

    examples: Examples
    wild_odds: Doubles
    """Log-odds of the wild felines, as in ``Examples.odds``; they are not used to choose thresholds."""
    wild_features: Floats
    data: dict[str, Any]
    """Counts and digest of the photos."""

    @classmethod
    def of(cls, subject: Subject, measured: Measured) -> CalibrationSet:
        """Separate the wild felines from the other measured photos."""
        wild = measured.evidence[measured.wild]
        return cls(
            Examples.of(subject, measured), log_odds(wild.logits, subject), wild.features, measured.data
        )
