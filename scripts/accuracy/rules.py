"""Decision rules that are compared on the same activations: CatLoader's, and those of other programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from checker.decision.operating_point import ThresholdRule, Thresholds
from checker.decision.subject import Subject
from checker.evaluation.statistics import Doubles, Flags
from checker.values import Verdict
from models.catalogue import class_names
from scripts.accuracy.scores.scores import Scores

Verdicts = npt.NDArray[np.str_]

CATLOADER = "CatLoader"
OTHERS = {
    "threshold 0.8, as cloud demos use, on this model": 0.8,
    "threshold 0.3, as PhotoPrism uses, on this model": 0.3,
    "threshold 0.1, as Nextcloud Recognize uses, on this model": 0.1,
}
"""Name -> the confidence that one class of the subject must reach, in the window that looks most like it."""
TOP_1 = "most likely class is a cat"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """The result of a rule on the labelled photos; ``scores`` excludes wild felines."""

    name: str
    scores: Doubles
    """0..1 for cats and others; higher means more like a cat."""
    verdicts: Verdicts
    """For cats and others, in the same order: ``cat``, ``unsure`` or ``not_cat``."""
    wild_verdicts: Verdicts
    thresholds: Thresholds | None = None
    """The thresholds of CatLoader's rule; other rules have none."""


def rules(scores: Scores, subject: Subject, max_fpr: float, max_fnr: float) -> list[Rule]:
    """Apply all rules, CatLoader's first.

    Raises:
        ModelRefused: the profile has no thresholds for these rates.
    """
    wild = scores.wild
    best = np.array([row.best for row in scores.rows])
    top_1 = np.isin([row.top for row in scores.rows], subject.classes)
    applied = [_catloader(scores, subject, max_fpr, max_fnr)]
    for name, is_cat in (*((name, best >= at) for name, at in OTHERS.items()), (TOP_1, top_1)):
        verdicts = np.where(is_cat, Verdict.CAT.value, Verdict.NOT_CAT.value)
        applied.append(Rule(name, best[~wild], verdicts[~wild], verdicts[wild]))
    return applied


def _catloader(scores: Scores, subject: Subject, max_fpr: float, max_fnr: float) -> Rule:
    rule = ThresholdRule(subject, class_names(), profile=scores.profile, max_fpr=max_fpr, max_fnr=max_fnr)
    wild = scores.wild
    served = np.array([row.score for row in scores.rows])
    judged = served.copy()
    if scores.held_out is not None:
        judged[~wild] = scores.held_out
    verdicts = np.array([rule.thresholds.verdict(score).value for score in judged])
    verdicts[held_back(scores, judged, rule.thresholds) & (verdicts == Verdict.CAT)] = Verdict.UNSURE
    return Rule(CATLOADER, judged[~wild], verdicts[~wild], verdicts[wild], rule.thresholds)


def held_back(scores: Scores, judged: Doubles, thresholds: Thresholds) -> Flags:
    """Return the photos that are not called cat even with a score of ``cat_at``: contradicted or soft ones.

    Args:
        judged: the scores of all photos, in order.
    """
    vetoed, soft = np.array([(row.vetoed, row.soft) for row in scores.rows]).T
    return np.asarray(vetoed | (soft & (judged < thresholds.soft_cat_at)))
