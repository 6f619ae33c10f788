"""Choose thresholds that keep a rate on unseen photos, and judge them on photos that did not choose them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from checker.decision.head import Doubles
from checker.decision.profile import OperatingPoint, Rate
from checker.evaluation.augment import PASTED
from checker.evaluation.examples import Examples, Flags, Indices
from checker.evaluation.intervals import rate, recall
from checker.evaluation.tail import (
    FALSE_NEGATIVE_TARGETS,
    FALSE_POSITIVE_TARGETS,
    TAIL_SHARE,
    measurable,
    threshold_above,
)

FOLDS = 5
FEWEST_OF_A_KIND = 100
"""Photos of a kind without the subject; with fewer, a rate of one in a hundred can't be measured."""
OTHER = "other"
SOFT = "soft picture"
"""Kind of soft photos, under its first name: profiles and tables of labelled photos have it."""
SMALL_FACTOR = 6
"""Times the target: share of the small subjects that may be ruled out. With 10 there were 6 of 40 cats of
396 px at the left of 1280 x 720, with 5 a tenth of all other photos were unsure."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Target -> logit of each threshold."""

    cat: dict[float, float]
    soft: dict[float, float]
    not_cat: dict[float, float]


def kinds_of_others(examples: Examples) -> dict[str, Flags]:
    """Return the photos of each kind that has its own rate; if none has, all of them as one kind."""
    others = examples.plain & ~examples.positive
    names, counts = np.unique(examples.kinds[others], return_counts=True)
    enough = [str(name) for name, n in zip(names, counts, strict=True) if n >= FEWEST_OF_A_KIND]
    return {name: others & (examples.kinds == name) for name in enough} or {OTHER: others}


def _telling(kinds: Mapping[str, Flags], target: float, share: float = 1.0) -> list[str]:
    """Return the kinds for which ``share`` of the photos is enough for this rate, or the largest one."""
    n = {name: int(group.sum() * share) for name, group in kinds.items()}
    return [name for name in kinds if measurable((target,), n[name])] or [max(n, key=lambda name: n[name])]


def choose_thresholds(examples: Examples, logits: Doubles, *, share: float = 1.0) -> Chosen:
    """Choose thresholds that keep each target on the worst kind of photo.

    ``cat``: on every kind of other photo with enough of them; ``soft``: on soft photos without the subject;
    ``not_cat``: on photos of the subject, and, at ``SMALL_FACTOR`` times the rate, on small ones pasted into
    others. A looser target never has a higher ``cat``.

    Args:
        share: of the photos of a kind that must be enough for the kind to count; below 1 when thresholds from
            fewer photos are judged in place of these.
    """
    plain, positive = examples.plain, examples.positive
    kinds = kinds_of_others(examples)
    cats = [(logits[plain & positive], 1)]
    if (small := (examples.augmentation == PASTED) & positive).any():
        cats.append((logits[small], SMALL_FACTOR))
    soft = logits[examples.soft & ~positive & (examples.augmentation != PASTED)]
    cat: dict[float, float] = {}
    for target in FALSE_POSITIVE_TARGETS:
        telling = _telling(kinds, target, share)
        highest = max(threshold_above(logits[kinds[name]], target) for name in telling)
        cat[target] = min(highest, *cat.values(), math.inf)
    return Chosen(
        cat=cat,
        soft={
            target: max(at, threshold_above(soft, target)) if len(soft) >= FEWEST_OF_A_KIND else math.inf
            for target, at in cat.items()
        },
        not_cat={
            target: min(-threshold_above(-kind, min(factor * target, TAIL_SHARE)) for kind, factor in cats)
            for target in FALSE_NEGATIVE_TARGETS
        },
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """The rates of thresholds on photos that did not choose them. The points' ``threshold`` is NaN."""

    cat: tuple[OperatingPoint, ...]
    not_cat: tuple[OperatingPoint, ...]
    soft: tuple[OperatingPoint, ...]


def judge(examples: Examples, logits: Doubles, fold: Indices) -> Judged:
    """Choose thresholds from all folds but one and count the errors in that one, for each fold.

    The counts are those of all photos, each judged once, by a head that was fitted without it.

    Args:
        logits: by ``cross_fitted``, as is ``fold``.
    """
    called: dict[float, Flags] = {}
    ruled_out: dict[float, Flags] = {}
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        chosen = choose_thresholds(examples[inside], logits[inside])
        for target, at in chosen.cat.items():
            at_each = np.where(examples.soft[outside], chosen.soft[target], at)
            called.setdefault(target, np.zeros(len(logits), bool))[outside] = logits[outside] >= at_each
        for target, below in chosen.not_cat.items():
            ruled_out.setdefault(target, np.zeros(len(logits), bool))[outside] = logits[outside] < below
    cats = examples.plain & examples.positive
    kinds = kinds_of_others(examples)
    soft_cats, soft_others = (
        examples.soft & (examples.augmentation != PASTED) & flags
        for flags in (examples.positive, ~examples.positive)
    )
    most = max(int(group.sum()) for group in kinds.values())
    return Judged(
        cat=tuple(
            _point(target, called[target], kinds, cats) for target in measurable(FALSE_POSITIVE_TARGETS, most)
        ),
        not_cat=tuple(
            OperatingPoint(target, math.nan, _rate(ruled_out[target], cats), _recall(ruled_out[target], cats))
            for target in measurable(FALSE_NEGATIVE_TARGETS, int(cats.sum()))
        ),
        soft=tuple(
            _point(target, called[target], {SOFT: soft_others}, soft_cats)
            for target in measurable(FALSE_POSITIVE_TARGETS, most)
        ),
    )


def _point(target: float, called: Flags, groups: Mapping[str, Flags], cats: Flags) -> OperatingPoint:
    kinds = {name: _rate(called, group) for name, group in groups.items()}
    worst = max((kinds[name] for name in _telling(groups, target)), key=lambda rate: rate.rate)
    return OperatingPoint(target, math.nan, worst, _recall(~called, cats), kinds)


def _rate(wrong: Flags, of: Flags) -> Rate:
    return rate(int((wrong & of).sum()), int(of.sum()))


def _recall(missed: Flags, of: Flags) -> Rate:
    return recall(int((missed & of).sum()), int(of.sum()))
