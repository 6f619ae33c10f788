"""Ways to say "cat" from the same activations: ours, and the rules of programs that this one replaces."""

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
from checker.evaluation.statistics import Doubles, Flags
from checker.evaluation.thresholds import judge
from models.catalogue import class_names
from scripts._measure import Measured


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Applied to the labelled photos without the wild felines, in their order."""

    name: str
    scores: Doubles
    """0..1; the higher, the more cat."""
    called: Flags
    wild_called: int
    """Wild felines that it calls cat."""
    thresholds: Thresholds | None = None
    """Of ours; the others have none, or one."""


OURS = "ours"
BASELINES = {
    "cloud demo: any cat label over 0.8": 0.8,
    "PhotoPrism: 0.3": 0.3,
    "Nextcloud Recognize: 0.1": 0.1,
}
"""Name -> confidence that any single class of the subject must reach on the photo."""


def rules(
    measured: Measured, subject: Subject, profile: Profile | None, max_fpr: float, max_fnr: float
) -> tuple[list[Rule], bool]:
    """Ours first. True where our scores are held out, since the profile was fitted on these very photos."""
    known = ~measured.wild
    ours, held_out = _ours(measured, subject, profile, max_fpr, max_fnr)
    confidences = np.stack([softmax(row) for row in measured.evidence.photo.logits]).astype(np.float64)
    best = confidences[:, list(subject.classes)].max(axis=1)
    made = [ours]
    for name, threshold in BASELINES.items():
        made.append(
            Rule(name, best[known], best[known] >= threshold, int((best[measured.wild] >= threshold).sum()))
        )
    first = np.isin(measured.evidence.photo.logits.argmax(axis=1), subject.classes)
    made.append(Rule("top-1", best[known], first[known], int(first[measured.wild].sum())))
    return made, held_out


def _ours(
    measured: Measured, subject: Subject, profile: Profile | None, max_fpr: float, max_fnr: float
) -> tuple[Rule, bool]:
    rule = ThresholdRule(subject, class_names(), profile=profile, max_fpr=max_fpr, max_fnr=max_fnr)
    decisions = [rule.decide(measured.evidence[i]) for i in range(len(measured.names))]
    wild = np.array([decision.wild_feline for decision in decisions])
    scores = np.array([decision.score for decision in decisions])
    called = (scores >= rule.thresholds.cat_at) & ~wild
    wild_called = int(called[measured.wild].sum())
    known = ~measured.wild
    same = profile is not None and profile.made.get("data", {}).get("sha256") == measured.data["sha256"]
    if same and profile is not None:
        scores = _held_out(measured, subject, profile.made["fit"], known)
        called = (scores >= rule.thresholds.cat_at) & ~wild[known]
    else:
        scores, called = scores[known], called[known]
    return Rule(OURS, scores, called, wild_called, rule.thresholds), same


def _held_out(
    measured: Measured, subject: Subject, made: dict[str, Any], known: npt.NDArray[np.bool_]
) -> Doubles:
    """The scores of the calibration's own cross-validation: no photo had a part in its own."""
    judged = judge(
        Inputs.of(subject, measured.evidence[known]),
        measured.positive[known],
        features=made["head"] == "linear probe",
        penalty=made["penalty"] or FEATURE_PENALTY,
        seed=made["seed"],
    )
    return sigmoid(judged.held_out)
