"""The rows of accounts."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, insert, select

from catloader.errors import EmailTaken, NotFound
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.gallery import Gallery, Selection
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log, likes, photos, users
from catloader.store.kinds import ObjectKind
from tests.catloader.store.db.accounts.test_sessions import sessions_of
from tests.support.locks import until_it_waits
from tests.support.rows import add_photo, delete_photo, new_photo, some_user

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_account_is_found_by_e_mail_and_id(engine: Engine) -> None:
    store = Users(engine)
    made = store.create(" Ada@Example.org ", "hash", _NOW)
    assert (made.email, made.is_admin, made.created_at) == ("ada@example.org", False, _NOW)
    assert store.by_email("ADA@example.org") == store.by_id(made.id) == made
    for other in ("eve@example.org", "ada\0@example.org", "caf\udce9@example.org"):
        assert store.by_email(other) is None
    assert store.by_id(made.id + 1) is None


def test_only_one_of_several_concurrent_registrations_of_an_e_mail_succeeds(engine: Engine) -> None:
    start = threading.Barrier(6)

    def register(n: int) -> bool:
        start.wait()
        try:
            Users(engine).create("Ada@example.org" if n % 2 else "ada@example.org", "hash", utcnow())
        except EmailTaken:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(register, range(6))) == [False] * 5 + [True]


def test_a_new_password_ends_all_sessions_of_its_account(engine: Engine) -> None:
    store, user, other = Users(engine), some_user(engine), some_user(engine)
    sessions = sessions_of(engine)
    here, there, others = (sessions.begin(account, _NOW) for account in (user, user, other))
    store.set_password(user.id, "new hash")
    changed = store.by_id(user.id)
    assert changed
    assert changed.password_hash == "new hash"
    assert [sessions.find(token, _NOW) is None for token in (here, there, others)] == [True, True, False]


def test_a_role_is_granted_to_one_account(engine: Engine) -> None:
    store, user, other = Users(engine), some_user(engine), some_user(engine)
    store.grant(user.id, "admin")
    store.grant(other.id, "reviewer")
    rights = {
        account.id: (account.is_admin, account.is_reviewer, account.may_review) for account in store.all()
    }
    assert (rights[user.id], rights[other.id]) == ((True, False, True), (False, True, True))


def test_deleting_an_account_deletes_its_rows_and_marks_its_objects_as_due(engine: Engine) -> None:
    user, other = some_user(engine), some_user(engine)
    own = [add_photo(engine, user.id) for _ in range(3)]
    other_photo = add_photo(engine, other.id)
    rows = Gallery(engine).older(Selection(user.id), None, 9)
    keys = {(ObjectKind.PHOTO, photo.photo_key) for photo in rows}
    keys |= {(ObjectKind.THUMBNAIL, photo.thumbnail_key) for photo in rows}
    with writing(engine) as connection:
        log = {"attempt": 1, "finished_at": _NOW}
        connection.execute(insert(check_log), [{**log, "photo_id": id} for id in (own[0], other_photo)])
        like = {"created_at": _NOW}
        connection.execute(insert(likes), [{**like, "user_id": user.id, "photo_id": other_photo}])
        connection.execute(insert(likes), [{**like, "user_id": other.id, "photo_id": own[0]}])

    assert Users(engine).delete(user.id, _NOW) == 3

    with reading(engine) as connection:
        counted = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (users, photos, check_log, likes)
        ]
    assert counted == [1, 1, 1, 0]
    due = Deletions(engine).due(100, _NOW)
    assert {(row.kind, row.key) for row in due} == keys
    with pytest.raises(NotFound):
        Users(engine).delete(user.id, _NOW)


def test_an_upload_that_ends_while_its_account_is_deleted_leaves_nothing(engine: Engine) -> None:
    user = some_user(engine)
    store, new = Photos(engine), new_photo(user.id)
    store.reserve(new, utcnow() + timedelta(hours=1))

    with ThreadPoolExecutor(1) as pool:
        uploads: list[Future[int]] = []

        def upload_now(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if statement.startswith("DELETE FROM images"):  # the photos are gone; the account is next
                uploads.append(pool.submit(store.add, new, utcnow()))
                until_it_waits(engine, uploads[0])

        event.listen(engine, "after_cursor_execute", upload_now)
        try:
            Users(engine).delete(user.id, utcnow())
        finally:
            event.remove(engine, "after_cursor_execute", upload_now)
        with pytest.raises(NotFound):
            uploads[0].result(timeout=60)
    due = {row.key for row in Deletions(engine).due(999, utcnow() + timedelta(hours=2))}
    assert due == {new.photo_key, new.thumbnail_key}


def test_photos_and_account_deleted_at_the_same_time_are_due_once(engine: Engine) -> None:
    user, start = some_user(engine), threading.Barrier(2)
    ids = [add_photo(engine, user.id) for _ in range(20)]

    def one_by_one() -> int:
        start.wait()
        return sum(delete_photo(engine, id, user.id, _NOW) for id in ids)

    def all_at_once() -> int:
        start.wait()
        return Users(engine).delete(user.id, _NOW)

    with ThreadPoolExecutor(2) as pool:
        assert sum(future.result() for future in [pool.submit(one_by_one), pool.submit(all_at_once)]) == 20
    assert Deletions(engine).count() == 40
