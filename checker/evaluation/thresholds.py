"""Choose thresholds that keep a rate on unseen photos, and judge them on photos that did not choose them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from checker.decision.profile import OperatingPoint
from checker.evaluation.fit import (
    Doubles,
    Flags,
    Inputs,
    cross_fitted,
    fit,
    platt,
    scaled,
    stratified_folds,
)
from checker.evaluation.statistics import rate, recall

FALSE_POSITIVE_TARGETS = (0.003, 0.005, 0.01, 0.02, 0.05)
FALSE_NEGATIVE_TARGETS = (0.005, 0.01, 0.02, 0.05)
FOLDS = 5
TAIL_SHARE = 0.1


def threshold_above(logits: Doubles, target: float) -> float:
    """Return the logit that at most a share of ``target`` of unseen photos like these reaches.

    A plain quantile this far out would rest on two or three photos. So the highest tenth is taken as an
    exponential tail (the usual one of log-odds), and its slope is lengthened by one standard error to stay on
    the safe side.
    """
    falling = np.sort(logits)[::-1]
    tail = max(int(len(falling) * TAIL_SHARE), 2)
    if len(falling) <= tail:
        raise ValueError(f"{len(falling)} photos are too few to choose a threshold from")
    start = float(falling[tail])
    slope = float((falling[:tail] - start).mean()) * (1 + 1 / math.sqrt(tail))
    return start + slope * math.log(tail / (len(falling) * target))


@dataclass(slots=True)
class _Count:
    """Errors over the photos of all folds."""

    wrong: int = 0
    """Others at or above a cat threshold, cats below a not_cat threshold."""
    missed: int = 0
    """Cats below the threshold."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Result of the nested cross-validation."""

    cat: tuple[OperatingPoint, ...]
    not_cat: tuple[OperatingPoint, ...]
    held_out: Doubles
    """Each photo's calibrated logit, by a head, slope and shift fitted without it."""


def measurable(targets: tuple[float, ...], n: int) -> tuple[float, ...]:
    """Return the targets that ``n`` photos can measure: at least one error must be expected."""
    return tuple(target for target in targets if target * n >= 1)


def chosen_thresholds(logits: Doubles, positive: Flags) -> tuple[dict[float, float], dict[float, float]]:
    """Return target -> logit, for ``cat_at`` and for ``not_cat_below``."""
    cat = {target: threshold_above(logits[~positive], target) for target in FALSE_POSITIVE_TARGETS}
    not_cat = {target: -threshold_above(-logits[positive], target) for target in FALSE_NEGATIVE_TARGETS}
    return cat, not_cat


def judge(inputs: Inputs, positive: Flags, *, features: bool, penalty: float, seed: int) -> Judged:
    """Repeat the whole calibration on four fifths of the photos and count errors on the fifth, five times.

    Head, slope, shift and thresholds of a fold come from its four fifths alone. The counts are those of all
    photos, each judged once. The points' ``threshold`` is NaN: the profile's thresholds come from all photos.
    """
    n_cats, n_others = int(positive.sum()), int((~positive).sum())
    cat = {target: _Count() for target in measurable(FALSE_POSITIVE_TARGETS, n_others)}
    not_cat = {target: _Count() for target in measurable(FALSE_NEGATIVE_TARGETS, n_cats)}
    held_out = np.empty(len(positive))
    for number, (train, test) in enumerate(stratified_folds(positive, FOLDS, seed)):
        inside, labels = inputs[train], positive[train]
        inner = cross_fitted(
            inside, labels, features=features, penalty=penalty, folds=FOLDS, seed=seed + 1 + number
        )
        slope, shift = platt(inner, labels)
        head = scaled(fit(inside, labels, features=features, penalty=penalty), slope, shift)
        logits = held_out[test] = inputs[test].logits(head)
        cats, others = logits[positive[test]], logits[~positive[test]]
        cat_at, not_cat_below = chosen_thresholds(slope * inner + shift, labels)
        for target, count in cat.items():
            count.wrong += int((others >= cat_at[target]).sum())
            count.missed += int((cats < cat_at[target]).sum())
        for target, count in not_cat.items():
            count.wrong += int((cats < not_cat_below[target]).sum())
    return Judged(
        cat=tuple(
            OperatingPoint(target, math.nan, rate(count.wrong, n_others), recall=recall(count.missed, n_cats))
            for target, count in cat.items()
        ),
        not_cat=tuple(
            OperatingPoint(target, math.nan, rate(count.wrong, n_cats), recall=recall(count.wrong, n_cats))
            for target, count in not_cat.items()
        ),
        held_out=held_out,
    )
