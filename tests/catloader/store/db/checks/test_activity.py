"""Signs of a running checker, and of a checker whose checks all fail."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, insert, update

from catloader.store.db.checks.activity import CheckerActivity
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import check_log, photos
from tests.support.rows import add_photos


def test_one_verdict_among_the_latest_attempts_proves_a_working_checker(engine: Engine) -> None:
    activity = CheckerActivity(engine)
    assert activity.last_attempts_failed(3) is None
    (photo,) = add_photos(engine, 1)

    def attempts(*verdicts: str | None) -> None:
        with writing(engine) as connection:
            for verdict in verdicts:
                row = {"photo_id": photo, "attempt": 1, "finished_at": utcnow(), "verdict": verdict}
                connection.execute(insert(check_log).values(row))

    attempts("cat", None, None)
    assert activity.last_attempts_failed(3) is False
    attempts(None)
    assert activity.last_attempts_failed(3) is True
    attempts("unreadable")
    assert activity.last_attempts_failed(3) is False


def test_a_claim_is_a_sign_of_a_checker_until_its_lease_expires(engine: Engine) -> None:
    activity, now = CheckerActivity(engine), utcnow()
    add_photos(engine, 1)
    assert not activity.seen_since(now, now)
    with writing(engine) as connection:
        connection.execute(update(photos).values(status="checking", lease_until=now + timedelta(minutes=1)))
    assert activity.seen_since(now, now)
    assert not activity.seen_since(now, now + timedelta(minutes=2))
