"""Decision rules on the same activations: CatLoader's, and those of programs that it replaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.decision.head import sigmoid
from checker.decision.operating_point import ThresholdRule, Thresholds, softmax
from checker.decision.profile import Profile
from checker.decision.subject import Subject
from checker.evaluation.fit import FEATURE_PENALTY, Inputs
from checker.evaluation.measure import Measured
from checker.evaluation.statistics import Doubles
from checker.evaluation.thresholds import judge
from checker.values import Verdict
from models.catalogue import class_names

Verdicts = npt.NDArray[np.str_]

CATLOADER = "CatLoader"
OTHERS = {
    "threshold 0.8, as cloud demos use, on this model": 0.8,
    "threshold 0.3, as PhotoPrism uses, on this model": 0.3,
    "threshold 0.1, as Nextcloud Recognize uses, on this model": 0.1,
}
"""Name -> confidence that any single class of the subject must reach on the photo."""
TOP_1 = "most likely class is a cat"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule applied to the labelled photos, the wild felines left out of ``scores``."""

    name: str
    scores: Doubles
    """0..1 of cats and others; higher means more like a cat."""
    verdicts: Verdicts
    """Of cats and others, in the same order: ``cat``, ``unsure`` or ``not_cat``."""
    wild_verdicts: Verdicts
    thresholds: Thresholds | None = None
    """CatLoader's only."""


def rules(
    measured: Measured, subject: Subject, profile: Profile | None, max_fpr: float, max_fnr: float
) -> tuple[list[Rule], bool]:
    """Apply all rules, CatLoader's first.

    Returns:
        The applied rules; and True if the profile was fitted on these same photos, so that CatLoader's scores
        are those of its cross-validation.
    """
    wild = measured.wild
    catloader, held_out = _catloader(measured, subject, profile, max_fpr, max_fnr)
    confidences = np.stack([softmax(row) for row in measured.evidence.photo.logits]).astype(np.float64)
    best = confidences[:, list(subject.classes)].max(axis=1)
    applied = [catloader]
    for name, threshold in OTHERS.items():
        verdicts = _two_verdicts(best >= threshold)
        applied.append(Rule(name, best[~wild], verdicts[~wild], verdicts[wild]))
    top_1 = _two_verdicts(np.isin(measured.evidence.photo.logits.argmax(axis=1), subject.classes))
    applied.append(Rule(TOP_1, best[~wild], top_1[~wild], top_1[wild]))
    return applied, held_out


def _two_verdicts(is_cat: npt.NDArray[np.bool_]) -> Verdicts:
    return np.where(is_cat, Verdict.CAT.value, Verdict.NOT_CAT.value)


def _catloader(
    measured: Measured, subject: Subject, profile: Profile | None, max_fpr: float, max_fnr: float
) -> tuple[Rule, bool]:
    rule = ThresholdRule(subject, class_names(), profile=profile, max_fpr=max_fpr, max_fnr=max_fnr)
    decisions = [rule.decide(measured.evidence[i]) for i in range(len(measured.names))]
    scores = np.array([decision.score for decision in decisions])
    verdicts = np.array([decision.verdict.value for decision in decisions])
    wild = measured.wild
    wild_verdicts, scores, verdicts = verdicts[wild], scores[~wild], verdicts[~wild]
    held_out = profile is not None and profile.made.get("data", {}).get("sha256") == measured.data["sha256"]
    if held_out and profile is not None:
        scores = _held_out_scores(measured, subject, profile.made["fit"])
        looks_wild = np.array([decision.wild_feline for decision in decisions])[~wild]
        verdicts = np.array([rule.thresholds.verdict(score).value for score in scores])
        verdicts[looks_wild & (verdicts == Verdict.CAT)] = Verdict.UNSURE
    return Rule(CATLOADER, scores, verdicts, wild_verdicts, rule.thresholds), held_out


def _held_out_scores(measured: Measured, subject: Subject, fit: dict[str, Any]) -> Doubles:
    """Return the scores of the calibration's own cross-validation: no photo had a part in its own."""
    known = ~measured.wild
    judged = judge(
        Inputs.of(subject, measured.evidence[known]),
        measured.positive[known],
        features=fit["head"] == "linear probe",
        penalty=fit["penalty"] or FEATURE_PENALTY,
        seed=fit["seed"],
    )
    return sigmoid(judged.held_out)
