"""Webhooks for events other than a checker's verdicts: reviewers' decisions, failed photos."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, update

from catloader.checks.signatures import new_secret
from catloader.demo.client import until
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks
from catloader.store.db.engine import make_engine, utcnow, writing
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import webhook_deliveries
from catloader.store.db.snapshot import Snapshot, take
from catloader.store.db.staff.reviews import Reviews
from catloader.store.db.steady_clock import STEADY_S, SteadyClock
from catloader.store.db.webhooks.deliveries import WebhookDeliveries, source_of
from catloader.webhooks.sender import WebhookSender
from catloader.webhooks.target import Target
from checker.values import Outcome, Verdict
from tests.checker.contract.queue import decided
from tests.support.rows import add_photo, add_photos, delete_photo, some_user

_AWAY = "The model ran out of memory."


def _collected(ledger: WebhookDeliveries) -> list[dict[str, Any]]:
    """Return the new messages, oldest first."""
    return [json.loads(delivery.payload) for delivery in reversed(ledger.latest(ledger.collect()))]


def test_events_after_the_deletion_of_the_newest_photo_are_sent(engine: Engine) -> None:
    ledger, reviews, owner = WebhookDeliveries(engine), Reviews(engine), some_user(engine)
    ledger.begin()
    queue = SqlCheckQueue(engine, lease_s=60.0, max_attempts=2, backoff_s=0.0)
    ids = set()
    for _ in range(2):
        photo = add_photo(engine, owner.id, utcnow() - timedelta(minutes=1))
        (claim,) = queue.claim(1)
        assert queue.finish([decided(claim, Verdict.UNSURE)]) == [True]
        assert reviews.decide(photo, owner.id, "cat", "", utcnow())
        messages = _collected(ledger)
        assert [(message["type"], message["data"]["photo_id"]) for message in messages] == [
            ("photo.checked", photo),
            ("photo.reviewed", photo),
        ]
        ids |= {delivery.message_id for delivery in ledger.latest(2)}
        assert delete_photo(engine, photo, owner.id)
    assert len(ids) == 4, "two events have the same id"


def _event_ids(engine: Engine) -> set[str]:
    """Let a checker and a reviewer decide a new photo; return the ids of both messages."""
    ledger, owner = WebhookDeliveries(engine), some_user(engine)
    ledger.begin()
    queue = SqlCheckQueue(engine, lease_s=60.0, max_attempts=2, backoff_s=0.0)
    photo = add_photo(engine, owner.id, utcnow() - timedelta(minutes=1))
    (claim,) = queue.claim(1)
    assert queue.finish([decided(claim, Verdict.UNSURE)]) == [True]
    assert Reviews(engine).decide(photo, owner.id, "cat", "", utcnow())
    assert ledger.collect() == 2
    return {delivery.message_id for delivery in ledger.latest(2)}


def test_messages_of_a_restored_site_have_no_ids_of_the_lost_one(
    engine: Engine, empty_url: str, tmp_path: Path
) -> None:
    """A receiver takes a message with an id that it has seen for a repetition."""
    sent = _event_ids(engine)
    take(engine, tmp_path / "copy.sqlite3")
    sent |= _event_ids(engine)  # after the backup
    target = make_engine(empty_url)
    migrate(target)
    snapshot = Snapshot(tmp_path / "copy.sqlite3")
    snapshot.restore(target)
    snapshot.close()
    assert not sent & _event_ids(target)
    target.dispose()


def _fail_once(queue: SqlCheckQueue) -> None:
    claims = queue.claim(1)
    assert queue.begin(claims) == [True]
    assert queue.finish([Outcome(claims[0], error=_AWAY, retryable=True)]) == [True]


def test_decisions_of_reviewers_and_failed_photos_are_sent_once(engine: Engine) -> None:
    ledger, reviews, rita = WebhookDeliveries(engine), Reviews(engine), some_user(engine)
    early, photo = add_photos(engine, 2, status="unsure")
    assert reviews.decide(early, rita.id, "cat", "", utcnow())
    ledger.begin()
    assert _collected(ledger) == [], "decisions before the first start were sent"
    assert reviews.decide(photo, rita.id, "not_cat", "It is mine.", utcnow())
    reviews.undo(rita.id, utcnow())
    decided, undone = _collected(ledger)
    assert decided["type"] == "photo.reviewed"
    assert decided["data"] == {
        "photo_id": photo,
        "verdict": "not_cat",
        "appeal": False,
        "status_before": "unsure",
    }
    assert (undone["data"]["verdict"], undone["data"]["status_before"]) == (None, "not_cat")

    (failing,) = add_photos(engine, 1)
    queue = SqlCheckQueue(engine, lease_s=60.0, max_attempts=2, backoff_s=0.0)
    _fail_once(queue)
    assert _collected(ledger) == [], "an attempt that will be repeated was sent"
    _fail_once(queue)
    (failed,) = _collected(ledger)
    assert (failed["type"], failed["data"]) == (
        "photo.failed",
        {"photo_id": failing, "verdict": "failed", "error": _AWAY, "attempt": 2},
    )
    assert _collected(ledger) == []
    Rechecks(engine).requeue(RecheckFilter())
    assert _collected(ledger) == []
    ids = [delivery.message_id for delivery in ledger.latest(9)]
    assert [id.partition("-")[0] for id in ids] == ["verdict", "review", "review"]
    sources = [source_of(id) for id in ids]
    assert ledger.redeliver([source for source in sources if source]) == 3
    assert source_of("review-") is source_of("verdict-x") is source_of("3") is None


def test_ids_of_messages_beyond_two_billion_lead_to_their_source() -> None:
    assert source_of(f"verdict-{2**31}") == ("check", 2**31)
    assert source_of("verdict-" + 5000 * "9") == ("check", 2**63 - 1)


def test_a_ledger_of_an_older_version_starts_to_send_decisions(engine: Engine) -> None:
    ledger, rita = WebhookDeliveries(engine), some_user(engine)
    ledger.begin()
    with writing(engine) as connection:
        connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.source == "review"))
    before, after = add_photos(engine, 2, status="unsure")
    Reviews(engine).decide(before, rita.id, "cat", "", utcnow())
    assert _collected(ledger) == []
    ledger.begin()
    Reviews(engine).decide(after, rita.id, "cat", "", utcnow())
    assert [message["data"]["photo_id"] for message in _collected(ledger)] == [after]


def test_the_newest_entry_stays_so_that_later_decisions_are_sent(engine: Engine) -> None:
    ledger, reviews, rita = WebhookDeliveries(engine), Reviews(engine), some_user(engine)
    ledger.begin()
    for id in add_photos(engine, 2, status="unsure"):
        assert reviews.decide(id, rita.id, "cat", "", utcnow())
    assert len(_collected(ledger)) == 2
    with writing(engine) as connection:
        old = {"state": "delivered", "created_at": utcnow() - timedelta(days=400)}
        connection.execute(update(webhook_deliveries).values(old))
    ledger.forget_old()
    assert [delivery.source for delivery in ledger.latest(9)] == ["review", "check"]


def test_decisions_of_more_than_three_days_ago_are_not_sent(engine: Engine) -> None:
    ledger, reviews, rita = WebhookDeliveries(engine), Reviews(engine), some_user(engine)
    ledger.begin()
    old, recent = add_photos(engine, 2, status="unsure")
    for id, hours in ((old, 73), (recent, 71)):
        assert reviews.decide(id, rita.id, "cat", "", utcnow() - timedelta(hours=hours))
    assert [message["data"]["photo_id"] for message in _collected(ledger)] == [recent]


@pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("steady_s", "left"), [(STEADY_S, [2]), (STEADY_S - 1, [2, 1])])
def test_old_messages_are_forgotten_once_the_clock_has_run_evenly(
    engine: Engine, steady_s: float, left: list[int]
) -> None:
    """A clock that is ahead after a start would have recent messages forgotten, which are then sent again."""
    ledger, old = WebhookDeliveries(engine), utcnow() - timedelta(days=31)
    row = {"source": "check", "payload": "", "next_attempt_at": old, "created_at": old, "state": "delivered"}
    waiting = row | {"source": "review", "source_id": 1, "state": "waiting"}
    with writing(engine) as connection:
        connection.execute(insert(webhook_deliveries), [*({**row, "source_id": n} for n in (1, 2)), waiting])
    passed_s = 0.0
    clock = SteadyClock(lambda: old + timedelta(seconds=passed_s), lambda: passed_s)
    clock.steady_s()
    passed_s = steady_s
    target = Target("http://127.0.0.1:1/", allow_private=True)
    sender = WebhookSender(ledger, target, new_secret(), clock=clock)
    sender.start()
    for _ in until(60, "The first round sends nothing"):
        if ledger.latest(1)[0].attempts:
            break
    sender.close()
    assert [delivery.source_id for delivery in ledger.latest(9) if delivery.source == "check"] == left
