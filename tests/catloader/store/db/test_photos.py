from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.db.deletions import Deletions
from catloader.store.db.photos import Photos
from catloader.store.db.queue import SqlCheckQueue
from catloader.store.kinds import ObjectKind
from tests.support.rows import add_image, add_images, new_image, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture
def photos(engine: Engine) -> Photos:
    return Photos(engine)


@pytest.fixture
def ledger(engine: Engine) -> Deletions:
    return Deletions(engine)


def test_a_photo_comes_back_as_it_was_added(engine: Engine, photos: Photos) -> None:
    new = new_image(some_user(engine).id, caption="Zoë's 🐈")
    photos.reserve(new.photo_key, new.thumbnail_key, _NOW + _HOUR)
    image = photos.by_id(photos.add(new, _NOW))
    assert image
    assert {name: value for name, value in asdict(image).items() if name in asdict(new)} == asdict(new)
    assert (image.status, image.attempts, image.next_attempt_at, image.created_at) == (
        "pending",
        0,
        _NOW,
        _NOW,
    )
    assert (image.score, image.check_error, image.human_verdict, image.on_air) == (None, None, None, False)
    assert photos.by_id(image.id + 1) is None


def test_an_upload_that_dies_leaves_its_objects_booked(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    photos.reserve("p", "t", _NOW + _HOUR)
    assert ledger.due(_NOW, 10) == []
    assert [(row.kind, row.key) for row in ledger.due(_NOW + _HOUR, 10)] == [
        (ObjectKind.PHOTO, "p"),
        (ObjectKind.THUMBNAIL, "t"),
    ]


def test_adding_strikes_the_booking_out(engine: Engine, photos: Photos, ledger: Deletions) -> None:
    photos.reserve("p", "t", _NOW + _HOUR)
    add_image(engine, some_user(engine).id, _NOW)
    assert [row.key for row in ledger.due(_NOW + _HOUR, 10)] == ["p", "t"]


def test_an_upload_slower_than_its_booking_is_refused(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    """The sweeper may be deleting the objects at this very moment."""
    new = new_image(some_user(engine).id)
    photos.reserve(new.photo_key, new.thumbnail_key, _NOW + _HOUR)
    with pytest.raises(StoreUnavailable, match="too long"):
        photos.add(new, _NOW + _HOUR)
    assert ledger.count() == 2
    (first, _) = ledger.due(_NOW + _HOUR, 10)
    ledger.failed(first.id, "away", _NOW + _HOUR, 7200)
    with pytest.raises(StoreUnavailable, match="too long"):
        photos.add(new, _NOW)
    assert photos.count_by_status()["pending"] == 0


def test_an_account_that_is_gone_gets_no_photo(photos: Photos, ledger: Deletions) -> None:
    new = new_image(owner_id=999_999)
    photos.reserve(new.photo_key, new.thumbnail_key, _NOW + _HOUR)
    with pytest.raises(NotFound):
        photos.add(new, _NOW)
    assert ledger.count() == 2


def test_a_key_is_used_once(engine: Engine, photos: Photos) -> None:
    photos.reserve("p", "t", _NOW)
    with pytest.raises(IntegrityError):
        photos.reserve("p", "t2", _NOW)


def test_pages_of_an_owner_newest_first(engine: Engine, photos: Photos) -> None:
    owner = some_user(engine).id
    ids = [add_image(engine, owner) for _ in range(5)]
    add_images(engine, 2)
    pages = [photos.of_owner(owner, before, 2) for before in (None, ids[3], ids[1])]
    assert [[image.id for image in page] for page in pages] == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert [image.id for image in photos.statuses(owner, [ids[1], ids[3], 10**6])] in (
        [ids[1], ids[3]],
        [ids[3], ids[1]],
    )
    assert photos.statuses(owner + 1, ids) == []
    assert photos.statuses(owner, []) == []


def test_only_the_owner_deletes_and_the_objects_are_booked(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    owner = some_user(engine).id
    image = photos.by_id(add_image(engine, owner))
    assert image
    assert photos.delete(image.id, owner + 1, _NOW) is False
    assert (photos.by_id(image.id), ledger.count()) == (image, 0)
    assert photos.delete(image.id, owner, _NOW) is True
    assert photos.by_id(image.id) is None
    booked = [(row.kind, row.key) for row in ledger.due(_NOW, 10)]
    assert booked == [(ObjectKind.PHOTO, image.photo_key), (ObjectKind.THUMBNAIL, image.thumbnail_key)]
    assert photos.delete(image.id, owner, _NOW) is False


def test_the_queue_is_shown_with_the_photos_being_checked_first(engine: Engine, photos: Photos) -> None:
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=1, now=lambda: _NOW)
    (checking,) = add_images(engine, 1, _NOW - _HOUR)
    queue.claim(1)
    later, sooner = (add_images(engine, 1, _NOW + n * _HOUR)[0] for n in (2, 1))
    add_images(engine, 3, status="cat")
    assert [image.id for image in photos.waiting(10)] == [checking, sooner, later]
    assert [image.id for image in photos.waiting(2)] == [checking, sooner]
    assert [image.id for image in photos.waiting(1)] == [checking]


def test_counts_name_every_status(engine: Engine, photos: Photos) -> None:
    owner = some_user(engine).id
    add_image(engine, owner)
    add_images(engine, 2, status="cat")
    none = dict.fromkeys(("pending", "checking", "cat", "unsure", "not_cat", "unreadable", "failed"), 0)
    assert photos.count_by_status() == {**none, "pending": 1, "cat": 2}
    assert photos.count_by_status(owner) == {**none, "pending": 1}
