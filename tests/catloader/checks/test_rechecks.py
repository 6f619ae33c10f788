"""Rechecks: finished photos return to the queue, and people's decisions stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, insert, select, update

from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.bin import Bin
from catloader.store.db.schema import Status, check_log, photos
from tests.catloader.checks.conftest import PHOTOS, CheckedSite
from tests.support.rows import add_photos


def test_requeued_photos_get_all_attempts_and_the_same_verdict(site: CheckedSite) -> None:
    before = {id: (site.row(id).status, site.row(id).score) for id in site.ids}
    rechecks, everything = Rechecks(site.engine), RecheckFilter(since=utcnow() - timedelta(days=1))
    assert rechecks.count(everything) == len(PHOTOS)
    assert rechecks.requeue(everything) == len(PHOTOS)
    assert {(site.row(id).status, site.row(id).attempts, site.row(id).score) for id in site.ids} == {
        ("pending", 0, None)
    }
    assert rechecks.count(everything) == 0
    site.check()
    assert {id: (site.row(id).status, site.row(id).score) for id in site.ids} == before


def test_requeue_takes_the_photos_that_match_the_filter(site: CheckedSite) -> None:
    rechecks = Rechecks(site.engine)
    digest = site.classifier.model_info.weights_sha256
    cats = [id for id in site.ids if site.row(id).status == "cat"]
    assert rechecks.count(RecheckFilter(digest[:8])) == len(PHOTOS)
    assert rechecks.count(RecheckFilter("%")) == 0
    # The filter compares only the latest verdict of a photo.
    with writing(site.engine) as connection:
        newer = {"photo_id": cats[0], "attempt": 1, "finished_at": utcnow(), "verdict": "cat"}
        connection.execute(insert(check_log), {**newer, "weights_sha256": "beef" * 16})
        connection.execute(insert(check_log), {**newer, "verdict": None, "error": "away"})
    assert rechecks.count(RecheckFilter(digest[:8])) == len(PHOTOS) - 1
    assert rechecks.count(RecheckFilter("beef", Status.CAT)) == 1
    assert rechecks.count(RecheckFilter("beef", Status.NOT_CAT)) == 0
    assert rechecks.count(RecheckFilter(since=utcnow() + timedelta(hours=1))) == 0
    assert rechecks.requeue(RecheckFilter(status=Status.CAT)) == len(cats)
    assert [id for id in site.ids if site.row(id).status == "pending"] == cats


def test_photos_in_the_bin_are_neither_counted_nor_requeued(site: CheckedSite) -> None:
    deleted, everything = site.row(site.ids[0]), RecheckFilter(since=utcnow() - timedelta(days=1))
    assert Bin(site.engine, days=30).put([deleted.id], deleted.owner_id) == 1
    rechecks = Rechecks(site.engine)
    assert rechecks.count(everything) == rechecks.requeue(everything) == len(PHOTOS) - 1
    assert site.row(deleted.id).status == deleted.status


def test_a_persons_decision_is_never_overruled(site: CheckedSite) -> None:
    cat, other = site.ids[:2]
    _decide(site.engine, cat, "not_cat")
    rechecks, everything = Rechecks(site.engine), RecheckFilter(since=utcnow() - timedelta(days=1))
    assert (rechecks.count(everything), rechecks.count_decided_by_people(everything)) == (4, 1)
    before = site.row(cat)
    assert rechecks.requeue(everything) == 4
    assert site.row(cat) == before
    # A person decides while the photo waits for its second check.
    _decide(site.engine, other, "cat", status="pending")
    site.check()
    assert (site.row(other).status, site.row(other).human_verdict) == ("cat", "cat")


def test_photos_being_checked_are_not_requeued(engine: Engine) -> None:
    ids = {status: add_photos(engine, 1, status=status, checked_at=utcnow())[0] for status in Status}
    assert Rechecks(engine).requeue(RecheckFilter(since=utcnow() - timedelta(days=1))) == 5
    with reading(engine) as connection:
        query = select(photos.c.id, photos.c.status)
        rows = {row.id: row.status for row in connection.execute(query)}
    assert rows.pop(ids[Status.CHECKING]) == "checking"
    assert set(rows.values()) == {"pending"}


def test_many_photos_are_requeued_in_batches(engine: Engine) -> None:
    now: datetime = utcnow()
    ids = add_photos(engine, 2001, status="unsure", checked_at=now)
    rechecks, unsure = Rechecks(engine), RecheckFilter(status=Status.UNSURE)
    assert rechecks.requeue(unsure, limit=1001) == 1001
    assert rechecks.count(unsure) == 1000
    with reading(engine) as connection:
        left = connection.execute(select(photos.c.id).where(photos.c.status == "unsure")).scalars()
        assert sorted(left) == ids[1001:]
    assert rechecks.requeue(unsure) == 1000
    assert rechecks.count(unsure) == 0


def _decide(engine: Engine, id: int, verdict: str, status: str | None = None) -> None:
    with writing(engine) as connection:
        values = {"human_verdict": verdict, "human_verdict_at": utcnow(), "status": status or verdict}
        connection.execute(update(photos).where(photos.c.id == id).values(values))
