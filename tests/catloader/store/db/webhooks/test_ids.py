"""Seen webhook ids."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import webhook_ids
from catloader.store.db.webhooks.ids import WebhookIds

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_an_id_is_new_for_exactly_one_of_many_callers(engine: Engine) -> None:
    start, ids = threading.Barrier(6), WebhookIds(engine)

    def arrive(_: int) -> bool:
        start.wait()
        return ids.remember("msg_1", _NOW)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(arrive, range(6))) == [False] * 5 + [True]
    assert ids.remember("msg_2", _NOW)


def test_expired_ids_are_deleted(engine: Engine) -> None:
    ids = WebhookIds(engine)
    assert ids.remember("old", _NOW)
    assert ids.remember("new", _NOW + timedelta(minutes=59))
    assert not ids.remember("old", _NOW + timedelta(minutes=59))
    assert ids.remember("another", _NOW + timedelta(minutes=61))
    with reading(engine) as connection:
        kept = connection.execute(select(webhook_ids.c.id)).scalars().all()
    assert sorted(kept) == ["another", "new"]
