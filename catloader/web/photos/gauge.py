"""The position of a score on the gauge of a photo's page.

Measured thresholds vary (0.02 for one model, 0.7 for another), so the gauge is not linear as a whole: "no"
always has the left 40 %, "not sure" the middle 20 % and "yes" the right 40 %. Within each zone the scale is
linear. If there is no "not sure" zone, "no" and "yes" have one half each.
"""

from __future__ import annotations

from dataclasses import dataclass

from catloader.store.db.checks.check_log import CheckRecord


@dataclass(frozen=True, slots=True)
class Gauge:
    score: float
    not_cat_below: float
    cat_at: float
    score_percent: float
    """All three percentages are measured from the left edge."""
    not_cat_below_percent: float
    cat_at_percent: float


def gauge(record: CheckRecord | None) -> Gauge | None:
    """Return the gauge of an attempt; None if the attempt ended without a score."""
    if record is None or record.score is None or record.cat_at is None:
        return None
    score, high = record.score, record.cat_at
    low = high if record.not_cat_below is None else min(record.not_cat_below, high)
    low_percent, high_percent = (40.0, 60.0) if low < high else (50.0, 50.0)
    if score >= high:
        percent = high_percent + (100 - high_percent) * _share(score, high, 1.0)
    elif score >= low:
        percent = low_percent + (high_percent - low_percent) * _share(score, low, high)
    else:
        percent = low_percent * _share(score, 0.0, low)
    return Gauge(score, low, high, round(percent, 2), low_percent, high_percent)


def _share(value: float, start: float, end: float) -> float:
    return min(1.0, max(0.0, (value - start) / (end - start))) if end > start else 0.0
