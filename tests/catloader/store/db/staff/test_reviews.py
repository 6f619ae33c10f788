"""Appeals, the queue of reviewers and the record of their decisions, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import photos
from catloader.store.db.staff.reviews import Reviews
from checker.values import Outcome
from tests.support.rows import add_photos, some_user

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def reviews(engine: Engine) -> Reviews:
    return Reviews(engine)


def _photo(engine: Engine, id: int) -> Photo:
    photo = Photos(engine).by_id(id)
    assert photo
    return photo


def _owner(engine: Engine, id: int) -> int:
    return _photo(engine, id).owner_id


def test_appeals_come_first_then_unsure_photos_each_oldest_first(engine: Engine, reviews: Reviews) -> None:
    unsure = add_photos(engine, 3, status="unsure")
    cats = add_photos(engine, 2, status="cat")
    for id in (cats[1], unsure[1]):
        assert reviews.appeal(id, _owner(engine, id), "not_cat", "why", _NOW)
    items = reviews.queue(None, 9)
    assert [item.photo.id for item in items] == [cats[1], unsure[1], unsure[0], unsure[2]]
    assert [item.appeal.reason if item.appeal else None for item in items] == ["why", "why", None, None]
    for place, item in enumerate(items):
        assert reviews.queue(item.place, 9) == items[place + 1 :]
    assert reviews.queue(None, 1) == items[:1]
    assert reviews.counts() == (2, 2)
    assert reviews.item(cats[0]) is None
    assert reviews.item(cats[1]) == items[0]


def test_an_appeal_needs_a_finished_photo_of_the_owner_and_there_is_one_at_a_time(
    engine: Engine, reviews: Reviews
) -> None:
    (cat,) = add_photos(engine, 1, status="cat")
    (pending,) = add_photos(engine, 1)
    owner = _owner(engine, cat)
    assert reviews.appeal(cat, some_user(engine).id, "not_cat", "", _NOW) is False
    assert reviews.appeal(pending, _owner(engine, pending), "cat", "", _NOW) is False
    assert reviews.appeal(cat, owner, "cat", "", _NOW) is False  # which is the verdict
    assert reviews.appeal(cat, owner, "not_cat", "", _NOW) is True
    assert reviews.appeal(cat, owner, "not_cat", "", _NOW) is False
    assert reviews.withdraw(cat, owner + 1, _NOW) is False
    assert reviews.withdraw(cat, owner, _NOW) is True
    assert reviews.withdraw(cat, owner, _NOW) is False
    assert reviews.queue(None, 9) == []
    assert reviews.appeal(cat, owner, "not_cat", "again", _NOW) is True
    assert [(one.reason, one.closed_at) for one in reviews.appeals_of(cat)] == [("", _NOW), ("again", None)]


def test_each_decision_is_recorded_and_undoing_it_restores_verdict_and_appeal(
    engine: Engine, reviews: Reviews
) -> None:
    (cat,) = add_photos(engine, 1, status="cat", score=0.9)
    reviewer = some_user(engine).id
    assert reviews.decide(cat, reviewer, "not_cat", "", _NOW) is False  # there is no appeal
    reviews.appeal(cat, _owner(engine, cat), "not_cat", "a statue", _NOW)
    before = reviews.queue(None, 9)
    assert reviews.decide(cat, reviewer, "not_cat", "right", _NOW) is True
    assert reviews.decide(cat, some_user(engine).id, "cat", "", _NOW) is False  # the first one counts
    photo = _photo(engine, cat)
    assert (photo.status, photo.human_verdict, photo.human_verdict_at) == ("not_cat", "not_cat", _NOW)
    assert reviews.queue(None, 9) == []
    assert reviews.appeal(cat, photo.owner_id, "cat", "", _NOW) is False
    assert reviews.may_see(cat)

    assert reviews.undo(some_user(engine).id, _NOW) is None
    assert reviews.undo(reviewer, _NOW) == cat
    assert reviews.undo(reviewer, _NOW) is None
    assert reviews.queue(None, 9) == before
    acts = [(one.reviewer_id, one.verdict, one.note, one.status_before) for one in reviews.of_photo(cat)]
    assert acts == [(reviewer, "not_cat", "right", "cat"), (reviewer, None, "", "not_cat")]
    Users(engine).delete(reviewer, _NOW)
    assert [one.reviewer_id for one in reviews.of_photo(cat)] == [None, None]


def test_decisions_are_undone_one_after_another(engine: Engine, reviews: Reviews) -> None:
    first, second, third = add_photos(engine, 3, status="unsure")
    reviewer, other = some_user(engine).id, some_user(engine).id
    for photo in (first, second, third):
        assert reviews.decide(photo, reviewer, "cat", "", _NOW)
    shown = [review.id for photo in (second, third) for review in reviews.of_photo(photo)]
    assert [reviews.undo(reviewer, _NOW, id) for id in shown] == [None, third]  # only the last one
    assert reviews.undo(reviewer, _NOW, shown[-1]) is None  # sent twice
    assert reviews.decide(third, other, "not_cat", "", _NOW)  # whose decision it is now
    assert reviews.undo(reviewer, _NOW) == second
    assert reviews.undo(reviewer, _NOW) == first
    assert reviews.last_of(reviewer) is None
    assert reviews.undo(reviewer, _NOW) is None
    assert [_photo(engine, id).human_verdict for id in (first, second, third)] == [None, None, "not_cat"]


def test_a_checker_that_has_claimed_the_photo_does_not_overwrite_the_decision(
    engine: Engine, reviews: Reviews
) -> None:
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=1, backoff_s=1)
    (id,) = add_photos(engine, 1, status="unsure")
    reviews.appeal(id, _owner(engine, id), "cat", "", _NOW)
    with writing(engine) as connection:  # checked again since
        connection.execute(update(photos).where(photos.c.id == id).values(status="pending"))
    (claim,) = queue.claim(1)
    assert reviews.decide(id, some_user(engine).id, "cat", "", utcnow()) is True
    assert _photo(engine, id).claim_token is None
    assert queue.finish([Outcome(claim, error="broken", unreadable=True)]) == [False]
    assert (_photo(engine, id).status, _photo(engine, id).human_verdict) == ("cat", "cat")
    assert queue.claim(1) == []
    assert reviews.undo(reviews.of_photo(id)[0].reviewer_id or 0, utcnow()) == id
    assert _photo(engine, id).status == "pending"  # and not claimed any more


def test_reviewers_see_only_photos_that_were_submitted_for_review(engine: Engine, reviews: Reviews) -> None:
    seen = {
        status: add_photos(engine, 1, status=status)[0] for status in ("cat", "not_cat", "pending", "unsure")
    }
    assert {status for status, id in seen.items() if reviews.may_see(id)} == {"unsure"}
    reviews.appeal(seen["cat"], _owner(engine, seen["cat"]), "not_cat", "", _NOW - timedelta(days=1))
    assert reviews.may_see(seen["cat"])
    reviews.withdraw(seen["cat"], _owner(engine, seen["cat"]), _NOW)
    assert not reviews.may_see(seen["cat"])


def test_a_decision_that_is_undone_twice_at_once_is_undone_once(engine: Engine, reviews: Reviews) -> None:
    (photo,) = add_photos(engine, 1, status="unsure")
    rita, undone = some_user(engine).id, list[int | None]()
    assert reviews.decide(photo, rita, "cat", "", _NOW)

    def undo(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("SELECT reviews") and not undone:  # the other request has found the decision
            undone.append(None)
            undone[0] = reviews.undo(rita, _NOW)

    event.listen(engine, "after_cursor_execute", undo)
    try:
        undone.append(reviews.undo(rita, _NOW))
    finally:
        event.remove(engine, "after_cursor_execute", undo)
    assert undone == [photo, None]
    assert _photo(engine, photo).status == "unsure"
