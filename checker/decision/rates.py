"""The measured error rates of a decision, which pages and commands show next to its threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from checker.decision.operating_point import cat_point
from checker.decision.profile import Profile, Rate


@dataclass(frozen=True, slots=True)
class MeasuredRates:
    """The rates of the thresholds that keep within one false positive rate."""

    target: float
    recall: Rate
    """Of sharp photos with the subject; ``errors`` counts the missed ones."""
    kinds: Mapping[str, Rate]
    """Kind of other photo, soft ones included -> share that is called the subject."""


def rates_within(profile: Profile, max_fpr: float) -> MeasuredRates:
    """Return the rates of the thresholds that ``thresholds_for`` chooses.

    Raises:
        ModelRefused: the rate is lower than the lowest one measured.
    """
    point = cat_point(profile, max_fpr)
    soft_points = [point for point in profile.soft if point.target <= max_fpr]
    soft_kinds = max(soft_points, key=lambda point: point.target).kinds if soft_points else {}
    return MeasuredRates(point.target, point.recall, {**point.kinds, **soft_kinds})


def rates_at(profile: Profile, cat_at: float, max_fpr: float = 0.0) -> MeasuredRates | None:
    """Return the rates of the threshold of one decision, for a sharp or a soft photo.

    None: the profile has no such threshold, because it was set by hand.

    Args:
        max_fpr: the current rate. Several points can have this threshold and differ in the threshold of soft
            photos: the loosest point within the rate counts, or the strictest if none is within it.
    """
    # Soft photos may have been measured for lower rates than sharp ones.
    lowest = min((point.target for point in profile.cat), default=math.inf)
    targets = [
        point.target
        for point in (*profile.cat, *profile.soft)
        if point.target >= lowest and math.isclose(point.threshold, cat_at, rel_tol=1e-9)
    ]
    if not targets:
        return None
    within = (target for target in targets if target <= max_fpr)
    return rates_within(profile, max(within, default=min(targets)))
