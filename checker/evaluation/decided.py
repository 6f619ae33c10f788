"""Measure the thresholds of a profile again, from stored scores of photos that people decided.

The head is kept, so the stored scores remain valid and no photo is read. People mostly decide on photos that
were unsure or appealed, which are harder than average. The measured rates are those of such photos, and are
upper bounds for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil

import numpy as np
import numpy.typing as npt

from checker.decision.head import Doubles, sigmoid
from checker.decision.profile import OperatingPoint, Profile
from checker.errors import CheckerError, ModelRefused
from checker.evaluation.intervals import rate, recall
from checker.evaluation.photos import FEWEST
from checker.evaluation.tail import (
    FALSE_NEGATIVE_TARGETS,
    FALSE_POSITIVE_TARGETS,
    measurable,
    threshold_above,
)

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
KIND = "decided by people"
_FOLDS = 5
_CLIP = 1e-12
"""Scores closer to 0 or 1 have no distinct logit."""


class TooFewDecisions(CheckerError):
    """People decided on too few photos; the message says how many are needed."""

    def __init__(self, cats: int, others: int, cats_needed: int, others_needed: int) -> None:
        super().__init__(
            f"Thresholds for these rates need decisions of people on at least {cats_needed} photos with the "
            f"subject and {others_needed} without; there are {cats} and {others}."
        )
        self.numbers = {
            "cats": cats,
            "others": others,
            "cats_needed": cats_needed,
            "others_needed": others_needed,
        }


def needed(targets: Sequence[float], rate: float) -> int:
    """Return the number of photos needed to measure the loosest target within a rate.

    Raises:
        ModelRefused: the rate is below the strictest target.
    """
    within = [target for target in targets if target <= rate]
    if not within:
        raise ModelRefused(
            f"A rate of {rate:g} is stricter than the strictest that decisions of people can measure, "
            f"{min(targets):g}."
        )
    return max(FEWEST, ceil(1 / max(within)))


def remeasured(
    base: Profile, scores: Doubles, positive: Flags, *, max_fpr: float, max_fnr: float, now: datetime
) -> Profile:
    """Return the profile with thresholds for these photos, judged by cross-validation.

    Args:
        scores: ``(n,)``, the scores that the profile's head gave to sharp photos.
        positive: ``(n,)``, True if a person decided that the photo shows the subject.
        max_fpr, max_fnr: the current rates, which the new thresholds must be able to keep.

    Raises:
        TooFewDecisions: the photos can't measure these rates.
        ModelRefused: no number of photos can measure them.
    """
    cats, others = int(positive.sum()), int((~positive).sum())
    cats_needed = needed(FALSE_NEGATIVE_TARGETS, max_fnr)
    others_needed = needed(FALSE_POSITIVE_TARGETS, max_fpr)
    if cats < cats_needed or others < others_needed:
        raise TooFewDecisions(cats, others, cats_needed, others_needed)
    clipped = np.clip(scores, _CLIP, 1 - _CLIP)
    logits = np.log(clipped) - np.log1p(-clipped)
    fold = np.empty(len(logits), dtype=np.int64)
    for group in (positive, ~positive):
        fold[group] = np.arange(int(group.sum())) % _FOLDS
    cat = tuple(
        _cat_point(target, logits, positive, fold) for target in measurable(FALSE_POSITIVE_TARGETS, others)
    )
    not_cat = tuple(
        _not_cat_point(target, logits, positive, fold) for target in measurable(FALSE_NEGATIVE_TARGETS, cats)
    )
    lost = {
        point.target: base.fp32_recall[point.target] - point.recall.rate
        for point in base.cat
        if point.target in base.fp32_recall
    }
    return replace(
        base,
        cat=cat,
        not_cat=not_cat,
        # The recall that int8 loses was measured on the same photos in both precisions; it does not change.
        fp32_recall={
            point.target: round(point.recall.rate + lost[point.target], 5)
            for point in cat
            if point.target in lost
        },
        made={
            "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "base": base.profile_id,
            "data": {"counts": {"cat": cats, "not_cat": others}},
            "judged": {"how": f"{_FOLDS}-fold cross-validation on decisions of people"},
        },
    )


def _cat_point(target: float, logits: Doubles, positive: Flags, fold: Indices) -> OperatingPoint:
    called = np.zeros(len(logits), dtype=bool)
    for number in range(_FOLDS):
        inside, outside = fold != number, fold == number
        called[outside] = logits[outside] >= threshold_above(logits[inside & ~positive], target)
    realised = rate(int(called[~positive].sum()), int((~positive).sum()))
    of_cats = recall(int((~called[positive]).sum()), int(positive.sum()))
    threshold = float(sigmoid(np.array(threshold_above(logits[~positive], target))))
    return OperatingPoint(target, threshold, realised, of_cats, {KIND: realised})


def _not_cat_point(target: float, logits: Doubles, positive: Flags, fold: Indices) -> OperatingPoint:
    ruled_out = np.zeros(len(logits), dtype=bool)
    for number in range(_FOLDS):
        inside, outside = fold != number, fold == number
        ruled_out[outside] = logits[outside] < -threshold_above(-logits[inside & positive], target)
    threshold = -threshold_above(-logits[positive], target)
    lost, cats = int(ruled_out[positive].sum()), int(positive.sum())
    return OperatingPoint(target, float(sigmoid(np.array(threshold))), rate(lost, cats), recall(lost, cats))
