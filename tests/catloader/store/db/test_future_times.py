"""The database's clock was years ahead, and has been corrected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert, select

from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.future_times import end_impossible_waits
from catloader.store.db.photos.deletions import Deletions, reserve
from catloader.store.db.photos.photo_rows import status_is
from catloader.store.db.schema import photos, webhook_deliveries
from catloader.store.db.webhooks.deliveries import WebhookDeliveries
from catloader.store.kinds import ObjectKind, StoredObject
from tests.support.rows import add_photos

_THEN = datetime(2038, 1, 20, tzinfo=UTC)


def test_impossible_waits_end_at_once_and_possible_waits_stay(engine: Engine) -> None:
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=1)
    (waiting,) = add_photos(engine, 1, _THEN, attempts=1)
    (claimed,) = add_photos(engine, 1, status="checking", claim_token="of then", lease_until=_THEN)
    in_an_hour = utcnow() + timedelta(hours=1)
    (retried,) = add_photos(engine, 1, utcnow() + timedelta(hours=2), attempts=2)
    in_two_days = utcnow() + timedelta(days=2)
    (leased,) = add_photos(engine, 1, status="checking", claim_token="of a day", lease_until=in_two_days)
    add_photos(engine, 1, in_two_days, begun_at=utcnow())  # after new thresholds
    (new,) = add_photos(engine, 1, in_an_hour)
    add_photos(engine, 1, in_an_hour, attempts=1)
    add_photos(engine, 1, in_an_hour, begun_at=utcnow())
    add_photos(engine, 1, status="checking", claim_token="of now", lease_until=in_an_hour)
    with writing(engine) as connection:
        for key, time in (("then", _THEN), ("now", in_an_hour)):
            reserve(connection, [StoredObject(ObjectKind.PHOTO, key)], time)
        connection.execute(
            insert(webhook_deliveries),
            [
                {
                    "source": "check",
                    "source_id": id,
                    "payload": "{}",
                    "next_attempt_at": time,
                    "created_at": time,
                }
                for id, time in ((1, _THEN), (2, in_an_hour))
            ],
        )
    assert queue.claim(9) == []
    assert end_impossible_waits(engine) == 7
    assert {claim.photo_id for claim in queue.claim(9)} == {waiting, claimed, new, retried, leased}
    assert [deletion.key for deletion in Deletions(engine).due(9)] == ["then"]
    delivery = WebhookDeliveries(engine).claim()
    assert delivery is not None
    assert delivery.source_id == 1
    assert end_impossible_waits(engine) == 0
    with reading(engine) as connection:
        untouched = select(photos.c.id).where(photos.c.next_attempt_at == in_an_hour, status_is("pending"))
        assert len(connection.execute(untouched).all()) == 2
