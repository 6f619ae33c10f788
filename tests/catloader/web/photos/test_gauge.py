"""The scale of the gauge, on which even the smallest threshold is visible."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from catloader.store.db.checks.check_log import CheckRecord
from catloader.web.photos.gauge import gauge


def _record(score: float | None, low: float | None, high: float | None) -> CheckRecord:
    values: dict[str, Any] = dict.fromkeys(field.name for field in fields(CheckRecord))
    return CheckRecord(**{**values, "score": score, "not_cat_below": low, "cat_at": high})


@pytest.mark.parametrize(
    ("score", "low", "high", "percent"),
    [
        (0.0, 0.02, 0.05, 0),
        (0.01, 0.02, 0.05, 20),
        (0.02, 0.02, 0.05, 40),
        (0.035, 0.02, 0.05, 50),
        (0.05, 0.02, 0.05, 60),
        (1.0, 0.02, 0.05, 100),
        (0.25, 0.5, 0.5, 25),
        (0.5, 0.5, 0.5, 50),
        (0.75, None, 0.5, 75),
        (0.0, 0.0, 0.0, 50),
        (1.0, 0.5, 1.0, 60),
        (1.0, 1.0, 1.0, 50),
    ],
)
def test_position_of_a_score_is_on_the_scale(
    score: float, low: float | None, high: float, percent: float
) -> None:
    shown = gauge(_record(score, low, high))
    assert shown
    assert shown.score_percent == pytest.approx(percent)


def test_attempt_without_a_score_has_no_gauge() -> None:
    assert gauge(None) is None
    assert gauge(_record(None, None, None)) is None
