"""The values that travel through the checker: a *claim* goes in, exactly one *outcome* comes out.

All of them are immutable and safe to share between threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Selection = int | slice | npt.NDArray[np.intp] | npt.NDArray[np.bool_]
"""An index along the first axis: one element (an ``int``) or several."""

LONGEST_BACKOFF_S = 3600.0


class Rendition(StrEnum):
    """The two stored JPEGs of a photo."""

    PHOTO = "photo"
    THUMBNAIL = "thumbnail"


INPUTS_OF = {Rendition.PHOTO: slice(0, 2), Rendition.THUMBNAIL: slice(2, 3)}
"""The model inputs of each rendition, among the inputs of a photo: the photo's two ends, the thumbnail."""
INPUTS_PER_PHOTO = 3


class Reason(StrEnum):
    """The reason, other than its score, why a photo is ``unsure``."""

    WILD_FELINE = "wild_feline"
    """The photo looks even more like a lion, a tiger or another wild feline."""
    LOW_DETAIL = "low_detail"
    """The photo is blurred, tiny or dark, and the score is not high enough for such a photo."""
    DRAWN = "drawn"
    """The photo looks like a drawing, and its score is not low enough to rule the subject out."""
    NO_LABEL = "no_label"
    """No class of the subject is among the most likely ones anywhere in the photo."""


class Verdict(StrEnum):
    """The result of a check. ``unsure`` goes to people; it never means "not a cat"."""

    CAT = "cat"
    UNSURE = "unsure"
    NOT_CAT = "not_cat"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to check one photo until the lease ends; ``token`` proves it when the verdict is written."""

    photo_id: int
    token: str
    photo_key: str
    thumbnail_key: str
    attempt: int
    """1 for the first attempt. An attempt counts when its decoding begins or when it has an outcome."""
    photo_sha256: str | None = None
    """SHA-256 of the stored bytes; None: unknown, so the bytes are not compared with it."""
    thumbnail_sha256: str | None = None
    waited_s: float = 0.0
    """Time from the moment the photo became due to this claim."""

    def key(self, rendition: Rendition) -> str:
        """Key of the rendition in the image source."""
        return self.photo_key if rendition is Rendition.PHOTO else self.thumbnail_key

    def sha256(self, rendition: Rendition) -> str | None:
        """Digest of the rendition's bytes."""
        return self.photo_sha256 if rendition is Rendition.PHOTO else self.thumbnail_sha256


@dataclass(frozen=True, slots=True)
class Label:
    """One ImageNet class and its softmax confidence, 0..1."""

    index: int
    name: str
    confidence: float


class Detail(NamedTuple):
    """Signs that a photo lacks ordinary detail; in such photos models tend to see what is not there."""

    soft: bool
    """Little detail or light: blurred, enlarged or nearly black."""
    drawn: bool
    """Lines or dots without the large areas of light and dark that photos have."""


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """The outputs of a model for N inputs, in their order; or for one input, without the first axis.

    Each input is judged in W windows: the whole input first, then parts of it if the model supports that.
    """

    logits: Floats
    """float32 ``(N, W, 1000)``, ImageNet-1k class order, before the softmax."""
    features: Floats
    """float32 ``(N, W, D)``: the pooled penultimate features."""
    inputs_per_forward: int = 0
    """Inputs in each forward pass, the last one padded; 0: all N in one."""

    def __getitem__(self, inputs: Selection) -> Activations:
        return Activations(self.logits[inputs], self.features[inputs], self.inputs_per_forward)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The activations of N photos, three inputs each; or of one photo, without the first axis."""

    logits: Floats
    """float32 ``(N, INPUTS_PER_PHOTO, W, 1000)``: the photo's two ends, the thumbnail."""
    features: Floats
    """float32 ``(N, INPUTS_PER_PHOTO, W, D)``."""
    soft: npt.NDArray[np.bool_]
    """``(N,)``: the photo has little detail or light."""
    drawn: npt.NDArray[np.bool_]
    """``(N,)``: the photo looks like a drawing."""
    turned_deg: npt.NDArray[np.int64]
    """``(N,)``: degrees clockwise by which the photo was rotated before the model examined it: 0, 90, 180 or
    270."""

    @classmethod
    def of(cls, activations: Activations, details: Sequence[Detail]) -> Evidence:
        """Group ``INPUTS_PER_PHOTO * N`` inputs of unrotated photos: the inputs of each photo in turn."""
        logits, features = (
            values.reshape(-1, INPUTS_PER_PHOTO, *values.shape[1:])
            for values in (activations.logits, activations.features)
        )
        soft, drawn = np.array(details, dtype=bool).T
        return cls(logits, features, soft, drawn, np.zeros(len(soft), np.int64))

    def __getitem__(self, photos: Selection) -> Evidence:
        return Evidence(*(getattr(self, field.name)[photos] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model as it really ran: enough to replay a decision."""

    model: str
    weights_sha256: str
    runtime: str
    """``torch`` or ``openvino``."""
    precision: str
    """``fp32``, ``bf16``, ``fp16`` or ``int8``."""
    device: str
    """The device in use, as the runtime names it: ``cpu``, ``cuda:0 NVIDIA H200``."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Library -> version, of those that affect the numbers; on a CPU also ``processor``, its instruction
    sets: ``AVX2 AVX-512 VNNI``. ``orientation``: the fit that recognises turned photos; without it they are
    judged as they lie."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on one photo, from both renditions."""

    verdict: Verdict
    score: float
    """0..1; at or above ``cat_at`` the verdict is cat, below ``not_cat_below`` it is not cat."""
    cat_at: float
    not_cat_below: float
    subject: str
    profile_id: str
    """``uncalibrated`` if no profile was measured for this model."""
    reason: Reason | None
    """Set if the verdict is unsure although the score reaches ``cat_at`` (for a soft photo: the ``cat_at`` of
    sharp photos), and for all unsure drawings."""
    wild_feline: bool
    """The photo shows a lynx, lion, tiger, ...: a feline, but not a house cat."""
    labels: Mapping[Rendition, tuple[Label, ...]]
    """The five most likely classes of each rendition, best first."""
    subject_scores: Mapping[Rendition, Mapping[str, float]]
    """For each rendition: softmax mass of the subject's classes, by class name."""
    turned_deg: int = 0
    """Degrees clockwise by which the photo was rotated to be judged upright: 0, 90, 180 or 270."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt: a decision, or the reason why there is none."""

    claim: Claim
    decision: Decision | None = None
    model_info: ModelInfo | None = None
    error: str | None = None
    """One plain sentence; None exactly if ``decision`` is set."""
    unreadable: bool = False
    """The photo can't be decoded: the verdict is ``unreadable``. If the outcome is retryable, only the last
    attempt sets that verdict."""
    retryable: bool = False
    blames_machine: bool = False
    """The object store or the model failed; the photo is not the cause."""
    photo_sha256: str | None = None
    thumbnail_sha256: str | None = None
    batch_size: int = 0
    """Model inputs (``INPUTS_PER_PHOTO`` for each photo) in the forward pass that decided."""
    ms: Mapping[str, float] = field(default_factory=dict)
    """Stage -> milliseconds: ``fetch``, ``decode``, ``classify``, ``total``."""

    def retry_after_s(self, max_attempts: int, backoff_s: float) -> float | None:
        """Seconds until the next attempt, doubled each time, at most an hour; None: the outcome is final."""
        attempt = self.claim.attempt
        if self.decision or not self.retryable or attempt >= max_attempts:
            return None
        return min(LONGEST_BACKOFF_S, backoff_s * 2.0 ** (attempt - 1))
