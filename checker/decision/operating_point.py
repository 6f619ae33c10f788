"""The last part of step 9: requested error rates become thresholds, and activations become a verdict.

The administrator sets error rates ("at most 1 % of the other photos may be called cat"), never a threshold:
the thresholds come from the profile that was measured for exactly this model.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checker.decision.head import Head, log_odds, log_sum_exp
from checker.decision.profile import OperatingPoint, Profile
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.values import INPUTS_OF, Decision, Evidence, Floats, Label, Reason, Rendition, Verdict
from models.catalogue import CLASSES

UNCALIBRATED = "uncalibrated"
SHIPPED_PROFILES = Path(__file__).resolve().parents[2] / "models" / "profiles"
_LABELS = 5
_EVIDENCE = 20
"""A photo is a cat only if a class of the subject is among this many most likely classes. Of 1 395 cats above
the threshold, a limit of 5 loses 24 and a limit of 20 loses 5; see docs/decisions/0002-the-score.md."""

WILD_MASS = 0.5
"""Mean softmax mass of the wild classes, over the photo's inputs, that makes a photo a wild feline."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds of the score: at or above ``cat_at`` cat, below ``not_cat_below`` not cat, else unsure."""

    cat_at: float
    not_cat_below: float
    soft_cat_at: float = 1.0
    """Replaces ``cat_at`` for soft photos."""

    def verdict(self, score: float) -> Verdict:
        if score >= self.cat_at:
            return Verdict.CAT
        return Verdict.NOT_CAT if score < self.not_cat_below else Verdict.UNSURE


DEFAULT_THRESHOLDS = Thresholds(cat_at=0.5, not_cat_below=0.02, soft_cat_at=0.9)
"""For models without a profile: a wide band on purpose, because people review the photos in it."""


def thresholds_for(profile: Profile, max_fpr: float, max_fnr: float) -> Thresholds:
    """Choose the thresholds whose measured targets keep both rates.

    Without interpolation: 0.015 gets the point measured for 0.01. The band is empty (``not_cat_below`` equals
    ``cat_at``) if the two classes are far enough apart.

    Raises:
        ModelRefused: a rate is lower than the lowest one measured.
    """
    cat_at = cat_point(profile, max_fpr).threshold
    not_cat_below = _loosest_within(profile, profile.not_cat, max_fnr, "false negative").threshold
    soft_cat_at = _loosest_within(profile, profile.soft, max_fpr, "false positive").threshold
    return Thresholds(cat_at, min(not_cat_below, cat_at), max(soft_cat_at, cat_at))


def cat_point(profile: Profile, max_fpr: float) -> OperatingPoint:
    """Find the operating point of ``cat_at``; raises as ``thresholds_for`` does."""
    return _loosest_within(profile, profile.cat, max_fpr, "false positive")


def _loosest_within(
    profile: Profile, points: Sequence[OperatingPoint], rate: float, error_kind: str
) -> OperatingPoint:
    fitting = [point for point in points if point.target <= rate]
    if not fitting:
        measured = ", ".join(f"{point.target:g}" for point in points) or "none"
        raise ModelRefused(
            f"a maximum {error_kind} rate of {rate:g} is stricter than any measured for {profile.profile_id} "
            f"({measured}): calibrate on more photos, or choose one of these"
        )
    return max(fitting, key=lambda point: point.target)


class ThresholdRule:
    """The decision rule: subject, head and thresholds for one model. Immutable and thread-safe."""

    def __init__(
        self,
        subject: Subject,
        class_names: Sequence[str],
        *,
        profile: Profile | None = None,
        max_fpr: float = 0.01,
        max_fnr: float = 0.01,
    ) -> None:
        if len(class_names) != CLASSES:
            raise ModelRefused(f"{len(class_names)} class names for {CLASSES} classes")
        self.subject = subject
        self.profile = profile
        self.profile_id = profile.profile_id if profile else UNCALIBRATED
        self.thresholds = thresholds_for(profile, max_fpr, max_fnr) if profile else DEFAULT_THRESHOLDS
        self._head = profile.head if profile else Head()
        self.class_names = tuple(class_names)

    def with_thresholds(self, thresholds: Thresholds) -> ThresholdRule:
        """Copy the rule with other thresholds, for example those of a logged decision."""
        copied = copy.copy(self)
        copied.thresholds = thresholds
        return copied

    def decide(self, evidence: Evidence) -> Decision:
        """Decide on one photo.

        Raises:
            ModelRefused: the head was fitted for features of another size.
        """
        score = float(self._head.scores(self.subject, evidence))
        confidences = {rendition: self._shown(evidence, rendition) for rendition in Rendition}
        labels = {rendition: self._top(values) for rendition, values in confidences.items()}
        wild = self._is_wild(evidence)
        soft, drawn = bool(evidence.soft), bool(evidence.drawn)
        cat_at = self.thresholds.soft_cat_at if soft else self.thresholds.cat_at
        named = {label.index for top in labels.values() for label in top}
        verdict, reason = self.verdict(score, soft=soft, drawn=drawn, wild=wild, named=named)
        return Decision(
            verdict=verdict,
            score=score,
            cat_at=cat_at,
            not_cat_below=self.thresholds.not_cat_below,
            reason=reason,
            subject=self.subject.name,
            profile_id=self.profile_id,
            wild_feline=wild,
            labels=labels,
            subject_scores={rendition: self._masses(values) for rendition, values in confidences.items()},
            turned_deg=int(evidence.turned_deg),
        )

    def verdict(
        self, score: float, *, soft: bool, drawn: bool, wild: bool, named: Collection[int]
    ) -> tuple[Verdict, Reason | None]:
        """Return the verdict, and why it is ``unsure`` although an ordinary photo with this score is a cat.

        A drawing is never a cat: in its lines the model may see anything.

        Args:
            named: the classes of the labels; a photo with none of the subject's classes is never a cat.
        """
        verdict = self.thresholds.verdict(score)
        if drawn and verdict is not Verdict.NOT_CAT:
            return Verdict.UNSURE, Reason.DRAWN
        if verdict is not Verdict.CAT:
            return verdict, None
        if wild:
            return Verdict.UNSURE, Reason.WILD_FELINE
        if soft and score < self.thresholds.soft_cat_at:
            return Verdict.UNSURE, Reason.LOW_DETAIL
        if set(self.subject.classes).isdisjoint(named):
            return Verdict.UNSURE, Reason.NO_LABEL
        return Verdict.CAT, None

    def _shown(self, evidence: Evidence, rendition: Rendition) -> Floats:
        """Compute the confidences to record: those in the window that looks most like the subject.

        For the thumbnail, those of the whole input: one of the two records must describe the photo as a
        whole.
        """
        if rendition is Rendition.THUMBNAIL:
            return softmax(evidence.logits[INPUTS_OF[rendition]][0, 0])
        windows = evidence.logits[INPUTS_OF[rendition]].reshape(-1, CLASSES)
        return softmax(windows[log_odds(windows, self.subject).argmax()])

    def _is_wild(self, evidence: Evidence) -> bool:
        if not self.subject.wild:
            return False
        mean = softmax(evidence.logits[:, 0]).mean(axis=0)
        wild = float(mean[list(self.subject.wild)].sum())
        return wild >= WILD_MASS and wild > float(mean[list(self.subject.classes)].sum())

    def _top(self, confidences: Floats) -> tuple[Label, ...]:
        """Return the most likely classes, then the subject's best class if it is likely enough."""
        order = np.argsort(-confidences, kind="stable")[:_EVIDENCE]
        of_subject = order[np.isin(order, self.subject.classes)][:1]
        best = order[:_LABELS]
        if not np.isin(best, self.subject.classes).any():
            best = np.concatenate([best, of_subject])
        return tuple(Label(int(i), self.class_names[i], float(confidences[i])) for i in best)

    def _masses(self, confidences: Floats) -> dict[str, float]:
        return {self.class_names[i]: float(confidences[i]) for i in self.subject.classes}


def softmax(logits: Floats) -> Floats:
    """Compute float32 ``(..., 1000)`` confidences, which sum to 1."""
    scale = log_sum_exp(logits)[..., np.newaxis]
    result: Floats = np.exp(logits.astype(np.float64) - scale).astype(np.float32)
    return result
