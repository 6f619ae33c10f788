"""Thresholds are measured on people's decisions with one click; changes are shown, applied, rolled back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import Engine, insert

from catloader.checks import remeasure
from catloader.demo.client import until
from catloader.settings import Settings
from catloader.store.db.checks.measured_profiles import MeasuredProfile, MeasuredProfiles
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.paging import PAGE
from catloader.store.db.schema import check_log
from checker.decision.operating_point import SHIPPED_PROFILES, thresholds_for
from checker.decision.profile import Profile, load_profile, profile_from_json
from checker.values import Reason
from tests.support.rows import add_photos, some_user
from tests.support.site import Person, acts_of_staff, services_of

_PATH = "/admin/thresholds"


@pytest.fixture
def base() -> Profile:
    return load_profile(SHIPPED_PROFILES / "efficientnet_lite0-torch-fp32-house_cat.json")


def _decided(
    engine: Engine,
    profile: Profile,
    scores: list[float],
    status: str,
    human: str | None,
    *,
    soft: bool = False,
    reason: Reason | None = None,
) -> list[int]:
    ids = add_photos(engine, len(scores), status=status, human_verdict=human)
    thresholds = thresholds_for(profile, 0.01, 0.01)
    row = {
        "attempt": 1,
        "finished_at": utcnow(),
        "verdict": status,
        "cat_at": thresholds.soft_cat_at if soft else thresholds.cat_at,
        "not_cat_below": thresholds.not_cat_below,
        "wild_feline": False,
        "reason": reason,
        "labels": {"photo": [[281, "tabby", 0.7]]},
        "model": profile.model,
        "profile_id": profile.profile_id,
    }
    with writing(engine) as connection:
        rows = [{**row, "photo_id": id, "score": score} for id, score in zip(ids, scores, strict=True)]
        connection.execute(insert(check_log), rows)
    return ids


def _ended(app: Flask) -> MeasuredProfile:
    for _ in until(60, "The measurement did not end"):
        job = services_of(app).measured_profiles.latest()
        assert job
        if job.error or job.profile_id:
            return job
    raise AssertionError


def test_thresholds_are_measured_shown_applied_and_rolled_back(
    app: Flask, engine: Engine, administrator: Person, base: Profile
) -> None:
    assert administrator.post(f"{_PATH}/measure", page=_PATH).status_code == 400
    thresholds = thresholds_for(base, 0.01, 0.01)
    _decided(engine, base, list(np.linspace(0.90, 0.999, 120)), "cat", "cat")
    _decided(engine, base, list(np.linspace(0.001, 0.80, 120)), "not_cat", "not_cat")
    (lost,) = _decided(engine, base, [thresholds.cat_at + 0.01], "cat", None)
    (sure,) = _decided(engine, base, [0.9999], "cat", None)
    (soft,) = _decided(engine, base, [0.9], "unsure", None, soft=True)
    (drawn,) = _decided(engine, base, [0.9999], "unsure", None, reason=Reason.DRAWN)
    _decided(engine, base, [0.5] * 30, "cat", "not_cat", soft=True)  # soft photos do not count
    _decided(engine, base, [0.999] * 30, "unsure", "not_cat", reason=Reason.DRAWN)  # and neither do drawings

    administrator.post(f"{_PATH}/measure", page=_PATH)
    job = _ended(app)
    assert job.error is None
    new = thresholds_for(profile_from_json(job.profile or {}), 0.01, 0.01)
    assert 0.8 < new.cat_at < 0.95
    assert (job.profile or {})["made"]["data"]["counts"] == {"cat": 120, "not_cat": 120}
    assert (job.done, job.total) == (4, 4)
    verdicts = {photo[0]: (photo[1], photo[2]) for photo in job.photos or ()}
    assert not {sure, soft, drawn} & set(verdicts)
    assert verdicts[lost][0] == "cat"
    assert verdicts[lost][1] in ("unsure", "not_cat")
    page = administrator.get(_PATH).text
    assert f"{new.cat_at:.3f} and up: cat" in page
    assert "Most cats would not be found." not in page
    assert f"<tr><td>{lost}</td><td>Cat</td>" in page
    assert services_of(app).measured_profiles.choice() is None, (
        "the thresholds were applied before anybody chose them"
    )

    answer = administrator.post(f"{_PATH}/{job.id}/apply", {"again": "yes"}, page=_PATH)
    assert f"{len(verdicts)} photo" in administrator.get(answer.location).text
    services = services_of(app)
    statuses = [photo.status for id in (lost, sure) if (photo := services.photos.by_id(id))]
    assert statuses == ["pending", "cat"]
    assert services.queue.claim(9) == [], "checkers could still claim photos with the old thresholds"
    assert "These thresholds are in use." in administrator.get(_PATH).text
    administrator.post(f"{_PATH}/rollback", page=_PATH)
    assert [choice.measured_id for choice in services.measured_profiles.choices(9)] == [None, job.id]
    administrator.post(f"{_PATH}/rollback", page=_PATH)
    assert [entry.act for entry in acts_of_staff(app)] == [
        "rolled back thresholds to",
        "rolled back thresholds to",
        "applied thresholds",
        "measured thresholds",
    ]
    assert soft is not None
    assert administrator.post(f"{_PATH}/{job.id + 1}/apply", page=_PATH).status_code == 404


@pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
def test_progress_is_written_after_each_page_and_the_list_of_changes_has_a_bound(
    engine: Engine, base: Profile
) -> None:
    written: list[dict[str, Any]] = []

    class Noting(MeasuredProfiles):
        def write(self, id: int, now: datetime, **values: Any) -> None:
            written.append(values)
            super().write(id, now, **values)

    _decided(engine, base, list(np.linspace(0.90, 0.999, 120)), "cat", "cat")
    _decided(engine, base, list(np.linspace(0.001, 0.80, 120)), "not_cat", "not_cat")
    changed = remeasure.MOST_PHOTOS + 1
    _decided(engine, base, [0.9999] * changed, "not_cat", None)
    store = Noting(engine)
    id = store.begin(base.profile_id, some_user(engine).id, utcnow())
    assert id
    remeasure.measure(store, id, base, Settings())
    *progress, result = written
    pages = [*range(PAGE, changed, PAGE), changed]
    assert progress == [{"done": done, "total": changed} for done in pages]
    assert (result["flips"], len(result["photos"])) == ({"not_cat -> cat": changed}, remeasure.MOST_PHOTOS)


def test_thresholds_from_contradictory_decisions_come_with_a_warning(
    app: Flask, engine: Engine, administrator: Person, base: Profile
) -> None:
    _decided(engine, base, list(np.linspace(0.1, 0.9, 120)), "cat", "cat")
    _decided(engine, base, list(np.linspace(0.1, 0.9, 120)), "not_cat", "not_cat")
    administrator.post(f"{_PATH}/measure", page=_PATH)
    assert _ended(app).error is None
    assert "Most cats would not be found." in administrator.get(_PATH).text


def test_too_few_decisions_are_refused_in_a_sentence_with_the_number(
    app: Flask, engine: Engine, administrator: Person, base: Profile
) -> None:
    _decided(engine, base, [0.99] * 12, "cat", "cat")
    _decided(engine, base, [0.01] * 30, "not_cat", "not_cat")
    assert administrator.post(f"{_PATH}/rollback", page=_PATH).status_code == 400
    administrator.post(f"{_PATH}/measure", page=_PATH)
    job = _ended(app)
    assert job.error == (
        "Thresholds for these rates need decisions of people on at least 100 photos with the subject and 100 "
        "without; there are 12 and 30."
    )
    assert job.error in administrator.get(_PATH).text
    assert administrator.post(f"{_PATH}/{job.id}/apply", page=_PATH).status_code == 404


def test_only_one_measurement_runs_at_a_time_and_a_dead_one_does_not_block(
    app: Flask, administrator: Person, base: Profile
) -> None:
    store, now = services_of(app).measured_profiles, utcnow()
    first = store.begin(base.profile_id, administrator.id, now)
    assert first
    assert store.begin(base.profile_id, administrator.id, now) is None
    store.write(first, now, done=200, total=900)
    assert "200 of 900 photos compared" in administrator.get(_PATH).text
    store.write(first, now.replace(year=now.year - 1))
    assert "The measurement was interrupted." in administrator.get(_PATH).text
    second = store.begin(base.profile_id, administrator.id, now)
    assert second
    store.write(second, now.replace(year=now.year + 1))
    assert store.begin(base.profile_id, administrator.id, now), "a measurement from the future blocks others"
