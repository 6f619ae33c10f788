"""An explanation's object is always the row's or the ledger's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from catloader.errors import StoreUnavailable
from catloader.store.db.deletions import Deletions
from catloader.store.db.engine import writing
from catloader.store.db.explanations import Explanations
from catloader.store.db.photos import Photos
from catloader.store.db.schema import check_log
from catloader.store.db.users import Users
from tests.support.rows import PHOTOS, THUMBNAILS, add_image, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture
def explanations(engine: Engine) -> Explanations:
    return Explanations(engine, PHOTOS)


@pytest.fixture
def ledger(engine: Engine) -> Deletions:
    return Deletions(engine)


def _due(ledger: Deletions, now: datetime = _NOW) -> list[tuple[str, str]]:
    return [(row.bucket, row.key) for row in ledger.due(now, 99)]


def _columns(engine: Engine, id: int) -> tuple[str | None, str | None]:
    image = Photos(engine, PHOTOS, THUMBNAILS).by_id(id)
    assert image
    return image.explanation_key, image.explanation_of


def test_keeping_one_strikes_its_booking_out(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_image(engine, some_user(engine).id)
    explanations.book("e", _NOW + _HOUR)
    assert (_due(ledger), _due(ledger, _NOW + _HOUR)) == ([], [(PHOTOS, "e")])
    assert explanations.keep(photo, "e", "lite0", _NOW) == "e"
    assert _columns(engine, photo) == ("e", "lite0")
    assert ledger.count() == 0


def test_a_stale_one_goes(engine: Engine, explanations: Explanations, ledger: Deletions) -> None:
    photo = add_image(engine, some_user(engine).id)
    for key, of in (("old", "lite0"), ("new", "resnet50")):
        explanations.book(key, _NOW + _HOUR)
        assert explanations.keep(photo, key, of, _NOW) == key
    assert _columns(engine, photo) == ("new", "resnet50")
    assert _due(ledger) == [(PHOTOS, "old")]
    assert ledger.count() == 1


def test_of_two_that_explain_the_same_the_first_stays(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_image(engine, some_user(engine).id)
    for key in ("first", "second"):
        explanations.book(key, _NOW + _HOUR)
    assert [explanations.keep(photo, key, "lite0", _NOW) for key in ("first", "second")] == ["first"] * 2
    assert _columns(engine, photo) == ("first", "lite0")
    assert _due(ledger) == [(PHOTOS, "second")]


def test_one_that_the_store_lost_is_replaced(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    photo = add_image(engine, some_user(engine).id)
    for key in ("first", "second", "third"):
        explanations.book(key, _NOW + _HOUR)
    assert explanations.keep(photo, "first", "lite0", _NOW) == "first"
    assert explanations.keep(photo, "second", "lite0", _NOW, lost="first") == "second"
    # Who found the first one lost, too, and comes later, takes the second.
    assert explanations.keep(photo, "third", "lite0", _NOW, lost="first") == "second"
    assert sorted(_due(ledger)) == [(PHOTOS, "first"), (PHOTOS, "third")]


def test_of_a_photo_that_is_gone_nothing_is_kept(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    owner = some_user(engine).id
    photo = add_image(engine, owner)
    explanations.book("e", _NOW + _HOUR)
    Photos(engine, PHOTOS, THUMBNAILS).delete(photo, owner, _NOW)
    assert explanations.keep(photo, "e", "lite0", _NOW) is None
    assert (PHOTOS, "e") in _due(ledger)


def test_one_slower_than_its_booking_is_refused(
    engine: Engine, explanations: Explanations, ledger: Deletions
) -> None:
    """The sweeper may be deleting the object at this very moment."""
    photo = add_image(engine, some_user(engine).id)
    explanations.book("e", _NOW + _HOUR)
    with pytest.raises(StoreUnavailable, match="too long"):
        explanations.keep(photo, "e", "lite0", _NOW + _HOUR)
    assert _columns(engine, photo) == (None, None)
    assert ledger.count() == 1


@pytest.mark.parametrize("whole_account", [False, True])
def test_it_is_deleted_with_photo_and_account(
    engine: Engine, explanations: Explanations, ledger: Deletions, whole_account: bool
) -> None:
    owner = some_user(engine).id
    photo, plain = add_image(engine, owner), add_image(engine, owner)
    explanations.book("e", _NOW + _HOUR)
    explanations.keep(photo, "e", "lite0", _NOW)
    if whole_account:
        assert Users(engine).delete(owner, _NOW, PHOTOS, THUMBNAILS) == 2
    else:
        assert all(Photos(engine, PHOTOS, THUMBNAILS).delete(id, owner, _NOW) for id in (photo, plain))
    due = _due(ledger)
    assert (PHOTOS, "e") in due
    assert len(due) == 5


def test_the_decision_that_is_explained(engine: Engine, explanations: Explanations) -> None:
    """The latest by a network: neither an attempt that failed after it, nor an unreadable photo."""
    photo, other = (add_image(engine, some_user(engine).id) for _ in range(2))
    assert explanations.judged(photo) is None
    rows: list[dict[str, Any]] = [
        {"photo_id": photo, "model": "lite0", "verdict": "not_cat", "score": 0.1, "error": None},
        {"photo_id": photo, "model": "lite2", "verdict": "cat", "score": 0.9, "error": None},
        {"photo_id": photo, "model": "lite2", "verdict": None, "score": None, "error": "No store."},
        {"photo_id": other, "model": None, "verdict": "unreadable", "score": None, "error": "Damaged."},
    ]
    with writing(engine) as connection:
        for attempt, row in enumerate(rows, 1):
            connection.execute(insert(check_log).values(attempt=attempt, finished_at=_NOW, **row))
    judged = explanations.judged(photo)
    assert judged
    assert (judged.model, judged.attempt) == ("lite2", 2)
    assert explanations.judged(other) is None
