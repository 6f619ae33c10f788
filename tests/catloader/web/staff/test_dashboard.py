"""The dashboard of administrators: figures of checks, pause and resume, and checking again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, insert, update

from catloader.store.db.checks.check_statistics import CheckStatistics
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import check_log, photos
from checker.values import Verdict
from tests.support.rows import add_photos
from tests.support.site import Person, acts_of_staff, check, services_of


def test_figures_count_the_outcomes_of_checks(app: Flask, engine: Engine, administrator: Person) -> None:
    empty = administrator.get("/admin").text
    assert "<strong>0</strong>waiting" in empty
    assert "Outcomes" not in empty
    for _ in range(4):
        administrator.upload_one()
    for verdict, device in ((Verdict.CAT, "cpu"), (Verdict.CAT, "cpu"), (Verdict.NOT_CAT, "cuda")):
        check(app, verdict, network={"device": device})
    with writing(engine) as connection:
        row = {"photo_id": 1, "attempt": 1, "finished_at": utcnow(), "error": "The store <b>is</b> away."}
        row["photo_id"] = administrator.photos[0].id
        connection.execute(insert(check_log).values(row))
    page = administrator.get("/admin").text
    for text in (
        "<strong>1</strong>waiting",
        '<span class="name">Cat</span><span class="number">2</span>',
        '<span class="name">No cat</span><span class="number">1</span>',
        '<span class="name">Failed attempt</span><span class="number">1</span>',
        "<h2>efficientnet_lite0</h2>",
        '<span class="name">torch fp32 on cpu</span><span class="number">2</span>',
        '<span class="name">torch fp32 on cuda</span><span class="number">1</span>',
        "The store &lt;b&gt;is&lt;/b&gt; away.",
        '<span class="name">99 % take at most</span><span class="number">12 ms</span>',
        "4 in this one",
    ):
        assert text in page, text
    assert ">torch fp32 auf cpu<" in administrator.get("/admin", **{"Accept-Language": "de"}).text


def test_percentiles_and_hours_are_counted_correctly(engine: Engine) -> None:
    (photo,) = add_photos(engine, 1)
    now = utcnow().replace(minute=30)
    rows = [
        {"photo_id": photo, "attempt": 1, "finished_at": now - timedelta(hours=hour), "ms": {"total": total}}
        for hour, total in ((0, 10.0), (0, 20.0), (2, 30.0), (5, 1000.0), (30, 9999.0))
    ]
    with writing(engine) as connection:
        connection.execute(insert(check_log), rows)
    statistics = CheckStatistics(engine)
    assert statistics.recent(now - timedelta(hours=24)).latency_ms == {50: 20.0, 90: 1000.0, 99: 1000.0}
    hours = statistics.per_hour(now, 6)
    assert [number for _, number in hours] == [1, 0, 0, 1, 0, 2]


def test_the_log_says_who_paused_and_resumed_checking_and_re_queued_photos(
    engine: Engine, administrator: Person, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "catloader.web.staff.dashboard")
    failed = add_photos(engine, 2, owner_id=administrator.id)
    with writing(engine) as connection:
        connection.execute(update(photos).where(photos.c.id.in_(failed)).values(status="failed"))
    administrator.post("/admin/checking", {"checking": "pause"}, page="/admin")
    administrator.post("/admin/checking", {"checking": "resume"}, page="/admin")
    administrator.post("/admin/requeue", {"status": "failed"}, page="/admin")
    acts = ("paused checking", "resumed checking", "re-queued 2 failed photos")
    assert caplog.messages == [f"administrator {administrator.id} {act}" for act in acts]


def test_nothing_is_claimed_while_checking_is_paused(app: Flask, administrator: Person) -> None:
    queue, photo = services_of(app).queue, administrator.upload_one()
    administrator.post("/admin/checking", {"checking": "pause"}, page="/admin")
    administrator.post("/admin/checking", {"checking": "pause"}, page="/admin")
    assert "Checking has been paused since" in administrator.get("/admin").text
    assert queue.claim(9) == []
    assert queue.next_due_s() is None  # so a waiting checker sleeps until its next sweep
    administrator.post("/admin/checking", {"checking": "resume"}, page="/admin")
    assert queue.next_due_s() == 0.0
    assert [claim.photo_id for claim in queue.claim(9)] == [photo]
    assert [entry.act for entry in acts_of_staff(app)] == [
        "resumed checking",
        "paused checking",
    ]


def test_failed_photos_are_checked_again_and_others_are_unchanged(
    app: Flask, engine: Engine, administrator: Person
) -> None:
    failed, unreadable, fine = (administrator.upload_one() for _ in range(3))
    with writing(engine) as connection:
        for id, status in ((failed, "failed"), (unreadable, "unreadable"), (fine, "cat")):
            connection.execute(update(photos).where(photos.c.id == id).values(status=status))
    assert "Check the failed photo again" in administrator.get("/admin").text
    administrator.post("/admin/requeue", {"status": "failed"}, page="/admin")
    assert "1 photo will be checked again." in administrator.get("/admin").text
    assert {photo.id: photo.status for photo in administrator.photos} == {
        failed: "pending",
        unreadable: "unreadable",
        fine: "cat",
    }
    assert administrator.post("/admin/requeue", {"status": "cat"}, page="/admin").status_code == 400
    assert services_of(app).audit_log.page(None, 1)[0].act == "re-queued failed photos"
