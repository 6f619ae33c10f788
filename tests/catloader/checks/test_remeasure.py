"""The reason why a measurement of thresholds failed is stored and logged."""

from __future__ import annotations

from typing import Any, cast

import pytest

from catloader.checks.remeasure import start
from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import load_profile
from checker.errors import ModelRefused


class _Failing:
    """A store whose first query fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.written: list[dict[str, Any]] = []

    def ids_with_head_of(self, _profile_id: str) -> list[str]:
        raise self._error

    def write(self, _id: int, _now: object, **values: Any) -> None:
        self.written.append(values)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModelRefused("no such class"), "no such class"),
        (StartupError("no such file"), "no such file"),
        (ZeroDivisionError("a bug"), "The measurement failed; the log of the site says why."),
    ],
)
def test_failed_measurement_keeps_its_reason(
    error: Exception, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = _Failing(error)
    base = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")
    start(cast("MeasuredProfiles", store), 1, base, Settings()).join(60)
    assert store.written == [{"error": sentence}]
    assert ("a bug" in caplog.text) is isinstance(error, ZeroDivisionError)
