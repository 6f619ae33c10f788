"""Simultaneous writers of one unique row, and writers whose account is deleted meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Table, event, func, select

from catloader.errors import CatLoaderError, NotFound, ProviderRefused
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.sign_up import SignUps
from catloader.store.db.accounts.users import User, Users
from catloader.store.db.engine import reading
from catloader.store.db.photos.album import Album
from catloader.store.db.photos.share_links import ShareLinks
from catloader.store.db.schema import (
    identities,
    likes,
    one_time_links,
    passkeys,
    second_factors,
    share_links,
    users,
)
from catloader.store.db.staff.reviews import Reviews
from catloader.store.db.tables.reviews import appeals
from tests.support.locks import until_it_waits
from tests.support.rows import add_photos, some_user

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = _NOW + timedelta(hours=1)
_AT_ONCE = 4
_HERE = "https://id.example.org"


@dataclass(frozen=True)
class _Request:
    """The numbers used by one of several simultaneous requests of an account."""

    engine: Engine
    user_id: int
    photo_id: int
    number: int


def _name(write: Callable[..., object]) -> str:
    return write.__name__.strip("_")


def _register(one: _Request) -> object:
    return Users(one.engine).create("eve@example.org", "hash", _NOW)


def _sign_up(one: _Request) -> object:
    return SignUps(one.engine).create("eve@example.org", "hash", _NOW)


def _sign_up_through_the_provider(one: _Request) -> object:
    email = f"eve{one.number}@example.org"
    return Identities(one.engine).sign_up(_HERE, "eve", email, "hash", invitation=None, now=_NOW)


def _link(one: _Request) -> object:
    return Identities(one.engine).link(one.user_id, _HERE, "ada", _NOW, by_owner=True)


def _add_passkey(one: _Request) -> None:
    Passkeys(one.engine).add(one.user_id, "credential", b"key", 0, name="Phone", now=_NOW)


def _set_up_second_factor(one: _Request) -> None:
    SecondFactors(one.engine).set_up(one.user_id, "A" * 32, 0, [f"{one.number:064}"], _NOW)


def _change_password(one: _Request) -> None:
    Users(one.engine).set_password(one.user_id, "new hash")


def _add_token(one: _Request) -> None:
    tokens, name = ApiTokens(one.engine, most=9), f"token {one.number}"
    tokens.add(name, one.user_id, name, ["read"], now=_NOW, expires_at=None)


def _share(one: _Request) -> object:
    return ShareLinks(one.engine).make(one.photo_id, one.user_id, _NOW)


def _like(one: _Request) -> object:
    return Album(one.engine).like(one.photo_id, one.user_id, _NOW)


def _appeal(one: _Request) -> object:
    return Reviews(one.engine).appeal(one.photo_id, one.user_id, "not_cat", "", _NOW)


_SAME_ROW: dict[Callable[[_Request], object], Table] = {
    _register: users,
    _sign_up: users,
    _sign_up_through_the_provider: identities,
    _link: identities,
    _add_passkey: passkeys,
    _set_up_second_factor: second_factors,
    _share: share_links,
    _like: likes,
    _appeal: appeals,
}


@pytest.mark.parametrize("write", _SAME_ROW, ids=_name)
def test_simultaneous_requests_for_one_row_add_it_once_and_raise_only_plain_errors(
    engine: Engine, write: Callable[[_Request], object]
) -> None:
    user_id, table = some_user(engine).id, _SAME_ROW[write]
    (photo_id,) = add_photos(engine, 1, owner_id=user_id, status="cat", on_air=True)
    before, start = _count(engine, table), threading.Barrier(_AT_ONCE)

    def answer(number: int) -> object:
        request = _Request(engine, user_id, photo_id, number)
        start.wait()
        try:
            return write(request)
        except CatLoaderError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(answer, range(_AT_ONCE)))  # raises every other error
    assert _count(engine, table) == before + 1


def test_an_identity_is_linked_to_one_account_once(engine: Engine) -> None:
    """If two requests found the identity unlinked, the second one for the same account changes nothing."""
    store, ada, eve = Identities(engine), some_user(engine).id, some_user(engine).id
    assert [store.link(ada, _HERE, "1", _NOW, by_owner=True) for _ in range(2)] == [True, True]
    with pytest.raises(ProviderRefused, match="Another account here is linked with this log-in"):
        store.link(eve, _HERE, "1", _NOW, by_owner=True)
    linked = store.user_of(_HERE, "1")
    assert linked
    assert linked.id == ada
    unlinked = Users(engine).by_id(eve)
    assert unlinked
    assert unlinked.email_confirmed_at is None


@pytest.mark.parametrize(
    "write", [_link, _add_passkey, _set_up_second_factor, _add_token, _change_password], ids=_name
)
def test_a_request_whose_account_was_just_deleted_fails_with_not_found(
    engine: Engine, write: Callable[[_Request], object]
) -> None:
    user = some_user(engine)
    Users(engine).delete(user.id)
    with pytest.raises(NotFound, match="This account does not exist any more"):
        write(_Request(engine, user.id, 0, 0))


def _reset(links: OneTimeLinks, user: User) -> object:
    return links.reset(user.id, None, _NOW, _LATER)


def _mailed_reset(links: OneTimeLinks, user: User) -> object:
    return links.mailed_reset(user.email, _NOW, _LATER)


def _mailed_confirmation(links: OneTimeLinks, user: User) -> object:
    return links.mailed_confirmation(user.email, _NOW, _LATER)


@pytest.mark.parametrize("make", [_reset, _mailed_reset, _mailed_confirmation], ids=_name)
def test_an_account_is_deleted_before_or_after_a_link_is_made_for_it(
    engine: Engine, make: Callable[[OneTimeLinks, User], object]
) -> None:
    """Another transaction begins to delete the account once this one has found it."""
    user, deletions = some_user(engine), list[Future[int]]()
    with ThreadPoolExecutor(1) as pool:

        def delete_now(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if not deletions and statement.startswith("SELECT users."):
                deletions.append(pool.submit(Users(engine).delete, user.id))
                until_it_waits(engine, deletions[0])

        event.listen(engine, "after_cursor_execute", delete_now)
        try:
            assert make(OneTimeLinks(engine), user)
        finally:
            event.remove(engine, "after_cursor_execute", delete_now)
        assert deletions[0].result(timeout=60) == 0
    assert _count(engine, users) == _count(engine, one_time_links) == 0


def _count(engine: Engine, table: Table) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()
