"""Reading the check log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from catloader.store.db.checks.check_log import CheckLog
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import writing
from catloader.store.db.schema import check_log, photos
from checker.values import Outcome
from tests.support.rows import add_photo, add_photos, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(engine: Engine) -> CheckLog:
    return CheckLog(engine)


def test_latest_is_the_last_attempt_of_the_photo(engine: Engine, log: CheckLog) -> None:
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=0, now=lambda: _NOW)
    id, _ = add_photos(engine, 2, _NOW)
    assert log.latest(id) is None
    for _ in range(2):
        for claim in queue.claim(2):
            queue.finish(
                [Outcome(claim=claim, error=f"No. {claim.attempt} of {claim.photo_id}", retryable=True)]
            )
    record = log.latest(id)
    assert record
    assert (record.photo_id, record.attempt, record.error, record.labels) == (id, 2, f"No. 2 of {id}", None)


def test_latest_decision_skips_failed_attempts_and_unreadable_photos(engine: Engine, log: CheckLog) -> None:
    photo, other = (add_photo(engine, some_user(engine).id) for _ in range(2))
    assert log.latest_decision(photo) is None
    rows: list[dict[str, Any]] = [
        {"photo_id": photo, "model": "lite0", "verdict": "not_cat", "score": 0.1, "error": None},
        {"photo_id": photo, "model": "lite2", "verdict": "cat", "score": 0.9, "error": None},
        {"photo_id": photo, "model": "lite2", "verdict": None, "score": None, "error": "No store."},
        {"photo_id": other, "model": None, "verdict": "unreadable", "score": None, "error": "Damaged."},
    ]
    with writing(engine) as connection:
        for attempt, row in enumerate(rows, 1):
            connection.execute(insert(check_log).values(attempt=attempt, finished_at=_NOW, **row))
    decision = log.latest_decision(photo)
    assert decision
    assert (decision.model, decision.attempt) == ("lite2", 2)
    assert log.latest_decision(other) is None


def test_a_check_of_another_thumbnail_square_is_not_of_the_present_objects(
    engine: Engine, log: CheckLog
) -> None:
    photo = add_photo(engine, some_user(engine).id)
    with writing(engine) as connection:
        present = connection.execute(select(photos.c.thumbnail_sha256)).scalar_one()
        new = insert(check_log).returning(check_log.c.id)
        ids = [
            connection.execute(
                new.values(photo_id=photo, attempt=attempt, finished_at=_NOW, thumbnail_sha256=sha256)
            ).scalar_one()
            for attempt, sha256 in enumerate((present, 64 * "f", None), 1)
        ]
    assert [log.is_of_present_objects(id) for id in ids] == [True, False, True]
