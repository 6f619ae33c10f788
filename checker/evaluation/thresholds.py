"""Choose thresholds that keep a rate on unseen photos, and judge them on photos not used to choose them."""

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
"""Smallest number of photos of a kind without the subject that can measure a rate of one in a hundred."""
OTHER = "other"
SOFT = "soft picture"
"""Kind of soft photos, under its first name, which profiles and tables of labelled photos contain."""
SMALL_FACTOR = 6
"""This factor times the target is the share of small subjects that may be ruled out. With 10, 6 of 40 cats of
396 px at the left of 1280 x 720 were ruled out; with 5, a tenth of all other photos were unsure."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Target -> logit of each threshold."""

    cat: dict[float, float]
    soft: dict[float, float]
    not_cat: dict[float, float]


def kinds_of_others(examples: Examples) -> dict[str, Flags]:
    """Return the photos of each kind that has enough for a rate; if no kind has, all others as one kind."""
    others = examples.plain & ~examples.positive
    names, counts = np.unique(examples.kinds[others], return_counts=True)
    enough = [str(name) for name, n in zip(names, counts, strict=True) if n >= FEWEST_OF_A_KIND]
    return {name: others & (examples.kinds == name) for name in enough} or {OTHER: others}


def _measurable_kinds(kinds: Mapping[str, Flags], target: float, share: float = 1.0) -> list[str]:
    """Return the kinds for which ``share`` of the photos is enough for this rate, or the largest kind."""
    n = {name: int(group.sum() * share) for name, group in kinds.items()}
    return [name for name in kinds if measurable((target,), n[name])] or [max(n, key=lambda name: n[name])]


def choose_thresholds(examples: Examples, logits: Doubles, *, share: float = 1.0) -> Chosen:
    """Choose thresholds that keep each target on the worst kind of photo.

    ``cat``: on every kind of other photo with enough photos; ``soft``: on soft photos without the subject;
    ``not_cat``: on photos of the subject, and, at ``SMALL_FACTOR`` times the rate, on small ones pasted into
    other photos. A looser target never has a higher ``cat``.

    Args:
        share: a kind counts if this share of its photos is enough for the rate. Below 1 if the thresholds
            that are judged are chosen from fewer photos, as in cross-validation.
    """
    plain, positive = examples.plain, examples.positive
    kinds = kinds_of_others(examples)
    cats = [(logits[plain & positive], 1)]
    if (small := (examples.augmentation == PASTED) & positive).any():
        cats.append((logits[small], SMALL_FACTOR))
    soft = logits[examples.soft & ~positive & (examples.augmentation != PASTED)]
    cat: dict[float, float] = {}
    for target in FALSE_POSITIVE_TARGETS:
        names = _measurable_kinds(kinds, target, share)
        highest = max(threshold_above(logits[kinds[name]], target) for name in names)
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
    """The rates of thresholds on photos not used to choose them. The ``threshold`` of each point is NaN."""

    cat: tuple[OperatingPoint, ...]
    not_cat: tuple[OperatingPoint, ...]
    soft: tuple[OperatingPoint, ...]


def judge(examples: Examples, logits: Doubles, fold: Indices) -> Judged:
    """For each fold, choose thresholds from the other folds and count the errors in this one.

    So every photo is judged once, by a head that was fitted without it.

    Args:
        logits, fold: the results of ``cross_fitted``.
    """
    called: dict[float, Flags] = {}
    ruled_out: dict[float, Flags] = {}
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        thresholds = choose_thresholds(examples[inside], logits[inside])
        for target, at in thresholds.cat.items():
            at_each = np.where(examples.soft[outside], thresholds.soft[target], at)
            called.setdefault(target, np.zeros(len(logits), bool))[outside] = logits[outside] >= at_each
        for target, below in thresholds.not_cat.items():
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
    worst = max((kinds[name] for name in _measurable_kinds(groups, target)), key=lambda rate: rate.rate)
    return OperatingPoint(target, math.nan, worst, _recall(~called, cats), kinds)


def _rate(wrong: Flags, of: Flags) -> Rate:
    return rate(int((wrong & of).sum()), int(of.sum()))


def _recall(missed: Flags, of: Flags) -> Rate:
    return recall(int((missed & of).sum()), int(of.sum()))
