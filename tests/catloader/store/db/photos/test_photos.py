"""The rows of photos and their entries in the deletion ledger."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from catloader.errors import NotFound, QuotaReached, StoreUnavailable
from catloader.store.db.accounts.quotas import Quota, Quotas
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.photo_files import NewFile, NewThumbnail, PhotoFiles
from catloader.store.db.photos.photos import Photos
from catloader.store.db.photos.upload_keys import UploadKey, add_key
from catloader.store.kinds import ObjectKind
from tests.support.rows import add_photo, add_photos, delete_photo, new_photo, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture
def photos(engine: Engine) -> Photos:
    return Photos(engine)


@pytest.fixture
def ledger(engine: Engine) -> Deletions:
    return Deletions(engine)


def test_a_photo_is_read_as_it_was_added(engine: Engine, photos: Photos) -> None:
    new = new_photo(some_user(engine).id, caption="Zoë's 🐈")
    photos.reserve(new, _NOW + _HOUR)
    photo = photos.by_id(photos.add(new, _NOW))
    assert photo
    assert {name: value for name, value in asdict(photo).items() if name in asdict(new)} == asdict(new)
    assert (photo.status, photo.attempts, photo.next_attempt_at, photo.created_at) == (
        "pending",
        0,
        _NOW,
        _NOW,
    )
    assert (photo.score, photo.check_error, photo.human_verdict, photo.on_air) == (None, None, None, False)
    assert photos.by_id(photo.id + 1) is None


def test_an_upload_that_dies_leaves_its_reservations(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    new = new_photo(some_user(engine).id)
    photos.reserve(new, _NOW + _HOUR)
    assert ledger.due(10, _NOW) == []
    assert [(row.kind, row.key) for row in ledger.due(10, _NOW + _HOUR)] == [
        (ObjectKind.PHOTO, new.photo_key),
        (ObjectKind.THUMBNAIL, new.thumbnail_key),
    ]


def test_add_cancels_only_its_own_reservations(engine: Engine, photos: Photos, ledger: Deletions) -> None:
    new = new_photo(some_user(engine).id)
    photos.reserve(new, _NOW + _HOUR)
    add_photo(engine, new.owner_id, _NOW)
    assert [row.key for row in ledger.due(10, _NOW + _HOUR)] == [new.photo_key, new.thumbnail_key]


def test_add_is_refused_after_its_reservation_expired(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    """The deletion worker may be deleting the objects at this moment."""
    new = new_photo(some_user(engine).id)
    photos.reserve(new, _NOW + _HOUR)
    with pytest.raises(StoreUnavailable, match="too long"):
        photos.add(new, _NOW + _HOUR)
    assert ledger.count() == 2
    (first, _) = ledger.due(10, _NOW + _HOUR)
    ledger.failed(first.id, "away", 7200, _NOW + _HOUR)
    with pytest.raises(StoreUnavailable, match="too long"):
        photos.add(new, _NOW)
    assert photos.count_by_status()["pending"] == 0


@pytest.mark.parametrize("answered", [True, False])
def test_objects_stored_after_the_deletion_worker_tried_to_delete_them_are_due(
    engine: Engine, photos: Photos, ledger: Deletions, *, answered: bool
) -> None:
    """A machine may be suspended between the reservation of an upload and its puts.

    A deletion without an answer may take place later, so its objects are not used either.
    """
    new = new_photo(some_user(engine).id)
    photos.reserve(new, _NOW)
    ids = [row.id for row in ledger.due(10, _NOW)]
    if answered:
        ledger.done(ids)
    else:
        for id in ids:
            ledger.failed(id, "timed out", 60, _NOW)
    with pytest.raises(StoreUnavailable, match="too long"):
        photos.add(new, _NOW)
    assert [row.key for row in ledger.due(10, _NOW)] == [new.photo_key, new.thumbnail_key]


def test_keys_of_a_photo_that_does_not_fit_are_not_reserved(engine: Engine, ledger: Deletions) -> None:
    add_photo(engine, owner := some_user(engine).id)
    with pytest.raises(QuotaReached):
        Photos(engine, Quotas(engine, Quota(1, 0))).reserve(new_photo(owner))
    assert ledger.count() == 0


def test_objects_of_an_upload_are_due_at_once_after_the_account_is_gone(
    photos: Photos, ledger: Deletions
) -> None:
    new = new_photo(owner_id=999_999)
    photos.reserve(new, _NOW + _HOUR)
    with pytest.raises(NotFound):
        photos.add(new, _NOW)
    assert [row.key for row in ledger.due(10, _NOW)] == [new.photo_key, new.thumbnail_key]


def test_a_rotated_photo_must_fit_into_the_quota(engine: Engine, photos: Photos) -> None:
    before = photos.by_id(add_photo(engine, owner := some_user(engine).id))
    assert before
    files = PhotoFiles(engine, Quotas(engine, Quota(0, before.size_bytes + 10)))
    for more_bytes, fits in ((11, False), (10, True)):
        size_bytes = before.size_bytes + more_bytes
        keys = f"t{more_bytes}", f"p{more_bytes}"
        file = NewFile(keys[0], 320, 64 * "c", 0, 0, 480, keys[1], 64 * "d", 480, 640, size_bytes)
        files.reserve(file, _NOW + _HOUR)
        with nullcontext() if fits else pytest.raises(QuotaReached):
            files.alter(before.id, owner, before.photo_key, file, _NOW)
        after = photos.by_id(before.id)
        assert after
        assert after.size_bytes == (size_bytes if fits else before.size_bytes)


def test_changed_files_that_were_stored_too_late_are_due(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    owner = some_user(engine).id
    before = photos.by_id(add_photo(engine, owner))
    assert before
    files = PhotoFiles(engine, Quotas(engine, Quota(0, 0)))
    thumbnail = NewThumbnail("t1", 320, 64 * "c", 0, 0, 480)
    file = NewFile("t2", 320, 64 * "c", 0, 0, 480, "p2", 64 * "d", 640, 480, 90_000)
    for new in (thumbnail, file):
        files.reserve(new, _NOW)
    with pytest.raises(StoreUnavailable, match="too long"):
        files.alter(before.id, owner, before.photo_key, thumbnail, _NOW)
    ledger.done([row.id for row in ledger.due(10, _NOW)])
    with pytest.raises(StoreUnavailable, match="too long"):
        files.replace(before.id, owner, file, _NOW)
    assert photos.by_id(before.id) == before
    assert [row.key for row in ledger.due(10, _NOW)] == ["p2", "t2"]


def test_a_key_is_reserved_once(engine: Engine, photos: Photos) -> None:
    new = new_photo(some_user(engine).id)
    photos.reserve(new, _NOW)
    with pytest.raises(IntegrityError):
        photos.reserve(replace(new, thumbnail_key="another"), _NOW)


def test_statuses_are_those_of_the_owner(engine: Engine, photos: Photos) -> None:
    owner = some_user(engine).id
    ids = [add_photo(engine, owner) for _ in range(5)]
    add_photos(engine, 2)
    assert [photo.id for photo in photos.statuses(owner, [ids[1], ids[3], 10**6])] in (
        [ids[1], ids[3]],
        [ids[3], ids[1]],
    )
    assert photos.statuses(owner + 1, ids) == []
    assert photos.statuses(owner, []) == []


def test_only_the_owner_can_delete_a_photo_and_its_objects_are_due(
    engine: Engine, photos: Photos, ledger: Deletions
) -> None:
    owner = some_user(engine).id
    photo = photos.by_id(add_photo(engine, owner))
    assert photo
    assert delete_photo(engine, photo.id, owner + 1, _NOW) is False
    assert (photos.by_id(photo.id), ledger.count()) == (photo, 0)
    assert delete_photo(engine, photo.id, owner, _NOW) is True
    assert photos.by_id(photo.id) is None
    due = [(row.kind, row.key) for row in ledger.due(10, _NOW)]
    assert due == [(ObjectKind.PHOTO, photo.photo_key), (ObjectKind.THUMBNAIL, photo.thumbnail_key)]
    assert delete_photo(engine, photo.id, owner, _NOW) is False


def test_waiting_lists_photos_being_checked_first(engine: Engine, photos: Photos) -> None:
    queue = SqlCheckQueue(engine, lease_s=60, max_attempts=3, backoff_s=1, now=lambda: _NOW)
    (checking,) = add_photos(engine, 1, _NOW - _HOUR)
    queue.claim(1)
    later, sooner = (add_photos(engine, 1, _NOW + n * _HOUR)[0] for n in (2, 1))
    add_photos(engine, 3, status="cat")
    assert [photo.id for photo in photos.waiting(10)] == [checking, sooner, later]
    assert [photo.id for photo in photos.waiting(2)] == [checking, sooner]
    assert [photo.id for photo in photos.waiting(1)] == [checking]


def test_count_by_status_includes_every_status(engine: Engine, photos: Photos) -> None:
    add_photos(engine, 1, status="pending")
    add_photos(engine, 2, status="cat")
    add_photos(engine, 1, status="cat", binned_at=_NOW)
    none = dict.fromkeys(("pending", "checking", "cat", "unsure", "not_cat", "unreadable", "failed"), 0)
    assert photos.count_by_status() == {**none, "pending": 1, "cat": 3}


def test_count_by_status_reads_indexes_instead_of_the_table(engine: Engine, photos: Photos) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("SQLite tells its plan without statistics")
    statements: list[str] = []

    def remember(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    photos.count_by_status()
    event.remove(engine, "before_cursor_execute", remember)
    assert len(statements) == 2
    for statement in statements:
        with reading(engine) as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
        assert any("INDEX ix_images" in row.detail for row in plan), [row.detail for row in plan]


def test_old_keys_of_an_account_are_found_without_reading_its_new_ones(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("SQLite tells its plan without statistics")
    owner = some_user(engine).id
    (photo_id,) = add_photos(engine, 1, owner_id=owner)
    deletes: list[tuple[str, Any]] = []

    def remember(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("DELETE"):
            deletes.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", remember)
    with writing(engine) as connection:
        add_key(connection, owner, UploadKey("key", "digest"), photo_id, utcnow())
    event.remove(engine, "before_cursor_execute", remember)
    ((statement, parameters),) = deletes
    with reading(engine) as connection:
        (plan,) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "user_id=? AND created_at<?" in plan.detail
