"""Accounts and photos that are deleted between two statements of another transaction."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, update

from catloader.errors import CatLoaderError, StoreUnavailable
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.quotas import Quota, Quotas
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.sessions import Sessions
from catloader.store.db.accounts.users import User, Users
from catloader.store.db.checks.failed_photos import FailedPhotos
from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.album import Album
from catloader.store.db.photos.photo_files import NewFile, PhotoFiles
from catloader.store.db.photos.photos import Photos
from catloader.store.db.photos.share_links import ShareLinks
from catloader.store.db.photos.upload_keys import UploadKey
from catloader.store.db.schema import appeals, audit_log, check_log, metadata, photos, reviews
from catloader.store.db.staff.administration import Administration
from catloader.store.db.staff.audit_log import COMMAND_LINE
from catloader.store.db.staff.random_audits import RandomAudits
from catloader.store.db.staff.reviews import Reviews
from catloader.store.db.staff.takedowns import Takedowns
from tests.support.locks import until_it_waits
from tests.support.rows import add_photos, delete_photo, empty_tables, new_photo, some_user

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = _NOW + timedelta(hours=1)
_HERE = "https://id.example.org"
_ORPHANS = " UNION ALL ".join(
    f"SELECT '{key.parent}' FROM {table} WHERE {key.parent} IS NOT NULL "
    f"AND NOT EXISTS (SELECT 1 FROM {key.column.table} AS other WHERE other.{key.column.name} = {key.parent})"
    for table in metadata.tables.values()
    for key in table.foreign_keys
)
"""The columns that refer to rows that do not exist."""


@dataclass(frozen=True)
class _Scene:
    """A photo, its owner, and the person who acts: a member of staff, or the owner."""

    engine: Engine
    owner: User
    actor: User
    photo_id: int


def _log_in(one: _Scene) -> object:
    return Sessions(one.engine, idle_days=1, days=1, most=1).begin(one.actor, _NOW)


def _log_out_everywhere(one: _Scene) -> None:
    sessions = Sessions(one.engine, idle_days=14, days=90, most=3)
    sessions.begin(one.actor, _NOW)
    sessions.end_all(one.actor.id)


def _add_passkey(one: _Scene) -> None:
    Passkeys(one.engine).add(one.actor.id, "credential", b"key", 0, name="Phone", now=_NOW)


def _set_up_second_factor(one: _Scene) -> None:
    SecondFactors(one.engine).set_up(one.actor.id, "A" * 32, 0, [f"{one.actor.id:064}"], _NOW)


def _reset_second_factor(one: _Scene) -> object:
    SecondFactors(one.engine).set_up(one.owner.id, "A" * 32, 0, [f"{one.owner.id:064}"], _NOW)
    return SecondFactors(one.engine).reset(one.owner.id, one.actor.id, _NOW)


def _add_token(one: _Scene) -> None:
    ApiTokens(one.engine, most=9).add("token", one.actor.id, "name", ["read"], now=_NOW, expires_at=None)


def _link(one: _Scene) -> object:
    return Identities(one.engine).link(one.actor.id, _HERE, "ada", _NOW, by_owner=True)


def _unlink(one: _Scene) -> object:
    _link(one)
    return Identities(one.engine).unlink(one.actor.id, _HERE, _NOW)


def _make_password_link(one: _Scene) -> object:
    return OneTimeLinks(one.engine).reset(one.owner.id, one.actor.id, _NOW, _LATER)


def _upload(one: _Scene) -> object:
    store = Photos(one.engine, Quotas(one.engine, Quota(9, 10**9)))
    new = new_photo(one.actor.id)
    store.reserve(new, datetime(9999, 1, 1, tzinfo=UTC))
    return store.add(new, key=UploadKey("key", 64 * "a"))


def _replace(one: _Scene) -> None:
    other = new_photo(one.owner.id)
    new = NewFile(**{name: getattr(other, name) for name in NewFile.__dataclass_fields__})
    files = PhotoFiles(one.engine, Quotas(one.engine, Quota(9, 10**9)))
    files.reserve(new, datetime(9999, 1, 1, tzinfo=UTC))
    files.replace(one.photo_id, one.owner.id, new)


def _share(one: _Scene) -> object:
    return ShareLinks(one.engine).make(one.photo_id, one.owner.id, _NOW)


def _like(one: _Scene) -> object:
    return Album(one.engine).like(one.photo_id, one.actor.id, _NOW)


def _appeal(one: _Scene) -> object:
    with writing(one.engine) as connection:
        connection.execute(appeals.delete())
    return Reviews(one.engine).appeal(one.photo_id, one.owner.id, "not_cat", "", _NOW)


def _decide(one: _Scene) -> object:
    return Reviews(one.engine).decide(one.photo_id, one.actor.id, "not_cat", "", _NOW)


def _undo(one: _Scene) -> object:
    _decide(one)
    return Reviews(one.engine).undo(one.actor.id, _NOW)


def _take_down(one: _Scene) -> object:
    return Takedowns(one.engine).take_down(one.photo_id, one.actor.id, "", _NOW)


def _lift(one: _Scene) -> object:
    _take_down(one)
    return Takedowns(one.engine).lift(one.photo_id, one.actor.id, _NOW)


def _draw(one: _Scene) -> object:
    return RandomAudits(one.engine).draw("cat", 9, one.actor.id, _NOW)


def _answer(one: _Scene) -> object:
    _draw(one)
    return RandomAudits(one.engine).answer(one.photo_id, one.actor.id, "cat", _NOW)


def _requeue_failed(one: _Scene) -> object:
    with writing(one.engine) as connection:
        connection.execute(update(photos).where(photos.c.id == one.photo_id).values(status="failed"))
    return FailedPhotos(one.engine).requeue([one.photo_id], one.actor.id, _NOW)


def _recheck(one: _Scene) -> object:
    return Rechecks(one.engine).requeue(RecheckFilter(), actor_id=one.actor.id)


def _disable(one: _Scene) -> None:
    Administration(one.engine).disable(one.owner.id, one.actor.id, _NOW)


def _set_quota(one: _Scene) -> None:
    Administration(one.engine).set_quota(one.owner.id, 9, None, one.actor.id, _NOW)


def _read_queue(one: _Scene) -> object:
    return Reviews(one.engine).queue(None, 9)


def _read_item(one: _Scene) -> object:
    return Reviews(one.engine).item(one.photo_id)


def _read_accounts(one: _Scene) -> object:
    return Administration(one.engine).largest(9)


_WRITES: list[Callable[[_Scene], object]] = [
    _log_in,
    _log_out_everywhere,
    _add_passkey,
    _set_up_second_factor,
    _reset_second_factor,
    _add_token,
    _link,
    _unlink,
    _make_password_link,
    _upload,
    _replace,
    _share,
    _like,
    _appeal,
    _decide,
    _undo,
    _take_down,
    _lift,
    _draw,
    _answer,
    _requeue_failed,
    _recheck,
    _disable,
]
_READS: list[Callable[[_Scene], object]] = [_read_queue, _read_item, _read_accounts]


def _owner_s_account(one: _Scene) -> object:
    return Users(one.engine).delete(one.owner.id)


def _actor_s_account(one: _Scene) -> object:
    return Users(one.engine).delete(one.actor.id)


def _photo(one: _Scene) -> object:
    return delete_photo(one.engine, one.photo_id, one.owner.id)


def _name(function: Callable[..., object]) -> str:
    return function.__name__.strip("_")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("actor", "delete"),
    [
        ("owner", _owner_s_account),
        ("staff", _owner_s_account),
        ("staff", _actor_s_account),
        ("staff", _photo),
    ],
    ids=["own account", "owner's account", "actor's account", "photo"],
)
@pytest.mark.parametrize("act", _WRITES + _READS, ids=_name)
def test_a_deletion_between_any_two_statements_ends_in_success_or_a_plain_error(
    engine: Engine, act: Callable[[_Scene], object], actor: str, delete: Callable[[_Scene], object]
) -> None:
    """Neither transaction fails, deadlocks or records another actor, and no row refers to a deleted row."""
    place, statements = 0, 1
    while place <= statements:
        one = _scene(engine, by_owner=actor == "owner")
        with _deleting(engine, place, functools.partial(delete, one)) as count:
            try:
                act(one)
            except CatLoaderError as error:
                assert not isinstance(error, StoreUnavailable), error
        statements = count()
        with reading(engine) as connection:
            actors = set(connection.execute(select(audit_log.c.actor)).scalars())
            assert COMMAND_LINE not in actors
            assert connection.exec_driver_sql(_ORPHANS).all() == []
        place += 1


@pytest.mark.parametrize("act", [_make_password_link, _reset_second_factor, _disable], ids=_name)
def test_two_people_who_act_on_each_other_do_not_deadlock(
    engine: Engine, act: Callable[[_Scene], object]
) -> None:
    place, statements = 0, 1
    while place <= statements:
        one = _scene(engine, by_owner=False)
        other = _Scene(engine, one.actor, one.owner, one.photo_id)
        with _deleting(engine, place, functools.partial(act, other)) as count:
            act(one)
        statements = count()
        place += 1


@pytest.mark.parametrize("act", [_disable, _set_quota], ids=_name)
@pytest.mark.parametrize(
    ("first", "second"), [((0, 1), (0, 2)), ((1, 0), (0, 1))], ids=["the same account", "each other"]
)
def test_two_administrators_do_not_deadlock(
    engine: Engine, act: Callable[[_Scene], object], first: tuple[int, int], second: tuple[int, int]
) -> None:
    """One changes an account while another makes a password link; pairs: the account and the actor."""
    place, statements = 0, 1
    while place <= statements:
        scene = _scene(engine, by_owner=False)
        people = [scene.owner, scene.actor, some_user(engine)]
        for number in {first[1], second[1]}:
            Users(engine).grant(people[number].id, "admin")
        one, other = (_Scene(engine, people[i], people[j], scene.photo_id) for i, j in (first, second))
        with _deleting(engine, place, functools.partial(_make_password_link, other)) as count:
            act(one)
        statements = count()
        place += 1


def test_every_table_with_a_foreign_key_has_a_writer_here(engine: Engine) -> None:
    written = set()

    def note(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("INSERT INTO "):
            written.add(statement.split()[2])

    event.listen(engine, "before_cursor_execute", note)
    try:
        for write in _WRITES:
            with contextlib.suppress(CatLoaderError):
                write(_scene(engine, by_owner=False))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert {table.name for table in metadata.tables.values() if table.foreign_keys} <= written


def _scene(engine: Engine, *, by_owner: bool) -> _Scene:
    """Empty the tables, and add a photo of the album with an appeal, a check and a decision."""
    empty_tables(engine)
    owner = some_user(engine)
    actor = owner if by_owner else some_user(engine)
    (photo_id,) = add_photos(engine, 1, owner_id=owner.id, status="cat", on_air=True)
    with writing(engine) as connection:
        check = {"photo_id": photo_id, "attempt": 1, "finished_at": _NOW, "verdict": "cat"}
        connection.execute(insert(check_log).values(score=1.0, profile_id="profile", **check))
        appeal = {"photo_id": photo_id, "wish": "not_cat", "reason": "", "opened_at": _NOW}
        connection.execute(insert(appeals).values(appeal))
        review = {"photo_id": photo_id, "reviewer_id": actor.id, "made_at": _NOW, "verdict": "cat"}
        connection.execute(insert(reviews).values(note="", status_before="unsure", **review))
    return _Scene(engine, owner, actor, photo_id)


@contextmanager
def _deleting(engine: Engine, place: int, delete: Callable[[], object]) -> Iterator[Callable[[], int]]:
    """Call ``delete`` in another thread before statement number ``place`` of this thread.

    Yields:
        A function that returns the number of statements of this thread.
    """
    here, statements, deletions = threading.get_ident(), 0, list[Future[object]]()

    def before(*_arguments: Any) -> None:
        nonlocal statements
        if threading.get_ident() != here:
            return
        if statements == place:
            deletions.append(pool.submit(delete))
            until_it_waits(engine, deletions[0])
        statements += 1

    with ThreadPoolExecutor(1) as pool:
        event.listen(engine, "before_cursor_execute", before)
        try:
            yield lambda: statements
        finally:
            event.remove(engine, "before_cursor_execute", before)
            for deletion in deletions:
                deletion.result(timeout=60)
