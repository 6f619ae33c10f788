"""The deletion ledger, as the deletion worker uses it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from catloader.store.db.accounts.receipts import Receipts
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.deletions import Deletions, remove
from catloader.store.db.photos.photo_rows import NewPhoto
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import deletions
from catloader.store.kinds import ObjectKind
from tests.support.locks import until_it_waits
from tests.support.rows import add_photo, new_photo, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _upload(number: int) -> NewPhoto:
    return replace(new_photo(owner_id=1), photo_key=f"p{number}", thumbnail_key=f"t{number}")


def test_due_rows_are_returned_longest_due_first(engine: Engine) -> None:
    photos, ledger = Photos(engine), Deletions(engine)
    photos.reserve(_upload(2), _NOW)
    photos.reserve(_upload(1), _NOW - timedelta(seconds=1))
    photos.reserve(_upload(3), _NOW + timedelta(seconds=1))
    assert [row.key for row in ledger.due(3, _NOW)] == ["p1", "t1", "p2"]
    assert ledger.count() == 6


def test_late_confirmation_of_a_deletion_removes_no_other_rows(engine: Engine) -> None:
    """Two processes delete the same objects; when the second process confirms, the ledger has new rows."""
    photos, ledger = Photos(engine), Deletions(engine)
    photos.reserve(_upload(1), _NOW)
    ids = [row.id for row in ledger.due(10, _NOW)]
    ledger.done(ids)
    photos.reserve(_upload(2), _NOW)
    ledger.done(ids)
    assert [row.key for row in ledger.due(10, _NOW)] == ["p2", "t2"]


def test_receipt_is_done_when_its_last_object_is_gone(engine: Engine) -> None:
    ledger, user, other, token = (
        Deletions(engine),
        some_user(engine),
        some_user(engine),
        "the token of a link",
    )
    for owner in (user, other):
        add_photo(engine, owner.id)
    Users(engine).delete(user.id, _NOW, receipt=token_digest(token))
    of_user = [row.id for row in ledger.due(10, _NOW)]
    Users(engine).delete(other.id, _NOW, receipt=token_digest("another one"))
    for left, id in ((1, of_user[0]), (0, of_user[1])):
        ledger.done([id])
        receipt = Receipts(engine).of(token)
        assert receipt
        assert (receipt.left, receipt.done_at is None) == (left, left > 0)
    unrelated = Receipts(engine).of("another one")
    assert unrelated
    assert (unrelated.left, unrelated.done_at) == (2, None)


def test_receipt_is_done_when_two_processes_remove_its_last_rows_together(engine: Engine) -> None:
    ledger, user, token = Deletions(engine), some_user(engine), "the token of a link"
    add_photo(engine, user.id)
    assert Users(engine).delete(user.id, _NOW, receipt=token_digest(token)) == 1
    photo, thumbnail = (row.id for row in ledger.due(10, _NOW))
    with ThreadPoolExecutor(1) as pool, writing(engine) as connection:
        remove(connection, [photo])
        other = pool.submit(ledger.done, [thumbnail])
        until_it_waits(engine, other)
    other.result()
    receipt = Receipts(engine).of(token)
    assert receipt
    assert (receipt.left, receipt.done_at is None) == (0, False)


def test_receipts_are_kept_for_a_year(engine: Engine) -> None:
    tokens = [f"token {number}" for number in range(3)]
    for token, days in zip(tokens, (0, 2, 366), strict=True):
        deleted_at = _NOW + timedelta(days=days)
        Users(engine).delete(some_user(engine).id, deleted_at, receipt=token_digest(token))
    assert [Receipts(engine).of(token) is not None for token in tokens] == [False, True, True]


def test_done_rows_are_removed_and_failed_ones_are_retried_later(engine: Engine) -> None:
    ledger = Deletions(engine)
    Photos(engine).reserve(_upload(1), _NOW)
    photo, thumbnail = ledger.due(10, _NOW)
    ledger.done([photo.id])
    ledger.done([])
    ledger.failed(thumbnail.id, "S3 is away", 30, _NOW)
    assert ledger.due(10, _NOW + timedelta(seconds=29)) == []
    (again,) = ledger.due(10, _NOW + timedelta(seconds=30))
    assert (again.key, again.kind, again.bucket, again.attempts) == ("t1", ObjectKind.THUMBNAIL, None, 1)
    with reading(engine) as connection:
        assert connection.execute(select(deletions.c.last_error)).scalars().all() == ["S3 is away"]
