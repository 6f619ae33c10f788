"""The reason why a measurement of thresholds failed is stored, or at least logged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from catloader.checks.remeasure import start
from catloader.demo.client import until
from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.engine import utcnow
from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import load_profile
from checker.errors import ModelRefused
from tests.support.locked_writes import locked_for
from tests.support.rows import some_user


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


@pytest.fixture
def job(engine: Engine) -> Callable[[], threading.Thread]:
    """Start a measurement on no photos."""
    base = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")
    profiles = MeasuredProfiles(engine)
    id = profiles.begin(base.profile_id, some_user(engine).id, utcnow())
    assert id
    return lambda: start(profiles, id, base, Settings())


def test_the_reason_is_stored_once_the_database_answers_again(
    engine: Engine, job: Callable[[], threading.Thread], caplog: pytest.LogCaptureFixture
) -> None:
    with locked_for(engine, "UPDATE") as refused, locked_for(engine, "SELECT"):
        thread = job()
        for _ in until(60, "No reason was written"):
            if refused:
                break
    thread.join(60)
    latest = MeasuredProfiles(engine).latest()
    assert latest and latest.error and "database" in latest.error
    assert caplog.messages == []


@pytest.mark.slow
@pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
def test_a_reason_that_can_not_be_stored_is_one_line_of_the_log(
    engine: Engine, job: Callable[[], threading.Thread], caplog: pytest.LogCaptureFixture
) -> None:
    with locked_for(engine, "UPDATE"), locked_for(engine, "SELECT"):
        job().join(60)
    (line,) = caplog.messages
    assert line.startswith("the thresholds could not be measured, which the page can't say: ")
    assert "Traceback" not in caplog.text
