"""Administrators' choices that are sent twice at the same moment, as by a double click."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from sqlalchemy import Engine, select

from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoices, ShadowReport
from catloader.store.db.engine import reading, utcnow
from catloader.store.db.schema import shadow_reports
from tests.support.rows import some_user

_AT_ONCE = 4
Result = TypeVar("Result")


def _at_once(work: Callable[[], Result]) -> list[Result]:
    together = Barrier(_AT_ONCE)

    def wait_and_work() -> Result:
        together.wait(30)
        return work()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [done.result() for done in [pool.submit(wait_and_work) for _ in range(_AT_ONCE)]]


def test_one_job_runs_and_one_choice_is_made(engine: Engine) -> None:
    profiles, models, administrator = MeasuredProfiles(engine), ModelChoices(engine), some_user(engine)
    (id,) = filter(None, _at_once(lambda: profiles.begin("base", administrator.id, utcnow())))
    _at_once(lambda: profiles.choose(id, "applied thresholds", administrator.id, utcnow()))
    assert [choice.measured_id for choice in profiles.choices(9)] == [id]
    _at_once(lambda: models.choose("b", "a", "promoted model", administrator.id, utcnow(), is_loaded=True))
    assert [choice.model for choice in models.history(9)] == ["b", "a"]


def test_the_first_of_two_checkers_marks_a_choice(engine: Engine) -> None:
    models, now = ModelChoices(engine), utcnow()
    for name in ("b", "c"):
        models.choose(name, "a", "promoted model", None, now, is_loaded=False)
    loaded, refused = reversed(models.history(2))
    models.mark_loaded(loaded.id, now)
    assert not models.refuse(loaded.id, "No memory.")
    assert [models.refuse(refused.id, reason) for reason in ("No weights.", "No memory.")] == [True, False]
    models.mark_loaded(refused.id, now)
    marks = [(choice.loaded_at, choice.refusal) for choice in models.history(2)]
    assert marks == [(None, "No weights."), (now, None)]


def test_the_oldest_reports_of_shadow_runs_are_deleted(engine: Engine) -> None:
    models, now = ModelChoices(engine), utcnow()
    for number in range(22):
        models.add_report(ShadowReport(now, "a", f"{number}", {}, {}, []))
    with reading(engine) as connection:
        query = select(shadow_reports.c.candidate).order_by(shadow_reports.c.id)
        assert list(connection.execute(query).scalars()) == [f"{number}" for number in range(2, 22)]
    latest = models.latest_report()
    assert latest and latest.candidate == "21"
