"""One variant's scores of labelled photos: the data from its activations that rules and report need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.decision.profile import Profile
from checker.evaluation.photos import CAT, WILD_FELINE, LabelledPhoto, describe
from checker.evaluation.statistics import Doubles, Flags
from checker.pixels.facts import Facts
from checker.values import Decision, ModelInfo, Rendition, Verdict

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """The result of one variant for one photo, independent of the thresholds."""

    score: float
    """CatLoader's, 0..1."""
    vetoed: bool
    """The photo is not called cat at any score: the labels contradict it."""
    soft: bool
    """The photo has little detail or light, and must reach a higher threshold."""
    wild: bool
    """The photo looks like a wild feline."""
    best: float
    """Confidence of the most likely class of the subject, in the photo's window that looks most like it."""
    top: int
    """Index of the most likely of all classes in that window."""
    renditions_sha256: str
    facts: Facts

    @classmethod
    def of(cls, decision: Decision, *, soft: bool, renditions_sha256: str, facts: Facts) -> PhotoScore:
        """Take the fields of a decision that was made with all thresholds at 0."""
        return cls(
            score=decision.score,
            vetoed=decision.verdict is not Verdict.CAT,
            soft=soft,
            wild=decision.wild_feline,
            best=max(decision.subject_scores[Rendition.PHOTO].values()),
            top=decision.labels[Rendition.PHOTO][0].index,
            renditions_sha256=renditions_sha256,
            facts=facts,
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PhotoScore:
        """Take the fields of ``as_json``."""
        return cls(**{**fields, "facts": Facts(**fields["facts"])})


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Row i of every sequence belongs to photo i, in the order of the names."""

    names: Sequence[str]
    labels: Texts
    kinds: Texts
    rows: Sequence[PhotoScore]
    data: Mapping[str, Any]
    """Counts and digest of the photos."""
    model_info: ModelInfo
    profile: Profile | None
    held_out: Doubles | None
    """Cross-validated scores, if the profile was fitted on these same photos.

    Wild felines have none and are left out.
    """
    photos_per_s: float | None
    """Decode and forward time of the photos that were measured now; None if all scores came from the cache.
    """
    peak_bytes: int

    @property
    def wild(self) -> Flags:
        """Shape ``(n,)``."""
        return np.asarray(self.labels == WILD_FELINE)

    @property
    def positive(self) -> Flags:
        """Photos without wild felines, in the order of the rules' scores."""
        return np.asarray(self.labels[~self.wild] == CAT)


def labels_and_kinds(photos: Sequence[LabelledPhoto]) -> tuple[Texts, Texts]:
    return np.array([photo.label for photo in photos]), np.array([photo.kind_or_label for photo in photos])


def described(photos: Sequence[LabelledPhoto], rows: Sequence[PhotoScore]) -> dict[str, Any]:
    """Return counts and digest, in the form that a calibration on these photos stores."""
    return describe(photos, [row.renditions_sha256 for row in rows])
