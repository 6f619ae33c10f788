from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from catloader.store.db.deletions import Deletions
from catloader.store.db.engine import reading
from catloader.store.db.photos import Photos
from catloader.store.db.schema import deletions, webhook_ids
from catloader.store.db.webhook_ids import WebhookIds
from catloader.store.kinds import ObjectKind

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_what_is_due_comes_longest_due_first(engine: Engine) -> None:
    photos, ledger = Photos(engine), Deletions(engine)
    photos.reserve("p2", "t2", _NOW)
    photos.reserve("p1", "t1", _NOW - timedelta(seconds=1))
    photos.reserve("p3", "t3", _NOW + timedelta(seconds=1))
    assert [row.key for row in ledger.due(_NOW, 3)] == ["p1", "t1", "p2"]
    assert ledger.count() == 6


def test_done_and_failed(engine: Engine) -> None:
    ledger = Deletions(engine)
    Photos(engine).reserve("p", "t", _NOW)
    photo, thumbnail = ledger.due(_NOW, 10)
    ledger.done([photo.id])
    ledger.done([])
    ledger.failed(thumbnail.id, "S3 is away", _NOW, 30)
    assert ledger.due(_NOW + timedelta(seconds=29), 10) == []
    (again,) = ledger.due(_NOW + timedelta(seconds=30), 10)
    assert (again.key, again.kind, again.bucket, again.attempts) == ("t", ObjectKind.THUMBNAIL, None, 1)
    with reading(engine) as connection:
        assert connection.execute(select(deletions.c.last_error)).scalars().all() == ["S3 is away"]


def test_a_wake_up_is_new_for_exactly_one_of_many(engine: Engine) -> None:
    start, seen = threading.Barrier(6), WebhookIds(engine)

    def arrive(_: int) -> bool:
        start.wait()
        return seen.first_time("msg_1", _NOW)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(arrive, range(6))) == [False] * 5 + [True]
    assert seen.first_time("msg_2", _NOW)


def test_old_ids_are_forgotten(engine: Engine) -> None:
    seen = WebhookIds(engine)
    assert seen.first_time("old", _NOW)
    assert seen.first_time("new", _NOW + timedelta(minutes=59))
    assert not seen.first_time("old", _NOW + timedelta(minutes=59))
    assert seen.first_time("another", _NOW + timedelta(minutes=61))
    with reading(engine) as connection:
        kept = connection.execute(select(webhook_ids.c.id)).scalars().all()
    assert sorted(kept) == ["another", "new"]
