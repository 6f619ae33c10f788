"""One-time links of accounts whose address is unconfirmed, or changes at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, update

from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.users import User, Users
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.share_links import ShareLinks
from catloader.store.db.schema import (
    api_tokens,
    identities,
    one_time_links,
    passkeys,
    recovery_codes,
    second_factors,
    share_links,
    users,
)
from tests.support.locks import until_it_waits
from tests.support.rows import add_photos, some_user

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = NOW + timedelta(minutes=10)
_WAYS_IN = (api_tokens, passkeys, identities, second_factors, recovery_codes, share_links)


def _with_every_way_in(engine: Engine, user: User) -> None:
    (photo,) = add_photos(engine, 1, owner_id=user.id)
    Identities(engine).link(user.id, "https://id.example.net", str(user.id), NOW, by_owner=True)
    Passkeys(engine).add(user.id, f"key of {user.id}", b"key", 0, name="Phone", now=NOW)
    SecondFactors(engine).set_up(user.id, "A" * 32, 0, [f"{user.id:064}"], NOW)
    assert ShareLinks(engine).make(photo, user.id, NOW)
    ApiTokens(engine, most=9).add(f"token of {user.id}", user.id, "x", ["read"], now=NOW, expires_at=None)


def _rows(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return [
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in _WAYS_IN
        ]


def test_a_mailed_link_ends_all_other_access_to_an_account_with_an_unconfirmed_address(
    engine: Engine,
) -> None:
    """A stranger has registered the address, or set it for the account, and prepared other ways to return."""
    store, squatted, proven = OneTimeLinks(engine), some_user(engine), some_user(engine)
    for user in (squatted, proven):
        _with_every_way_in(engine, user)
    Users(engine).set_email(squatted.id, "victim@example.org")
    assert _rows(engine) == [2] * 6
    for email in (proven.email, "victim@example.org"):
        token = store.mailed_reset(email, NOW, _LATER)
        assert token
        assert store.set_password(token, "new hash", NOW)
    assert _rows(engine) == [1] * 6
    assert Identities(engine).is_linked("https://id.example.net", proven.id)


@pytest.mark.parametrize("purpose", ["confirm", "reset"])
def test_a_link_to_an_address_that_is_being_changed_does_not_confirm_the_new_address(
    engine: Engine, purpose: str
) -> None:
    store, user = OneTimeLinks(engine), some_user(engine)
    use: dict[str, Callable[[str], int | None]] = {
        "confirm": lambda token: store.confirm_email(token, user.id, NOW),
        "reset": lambda token: store.set_password(token, "new hash", NOW),
    }
    make = store.mailed_confirmation if purpose == "confirm" else store.mailed_reset
    token = make(user.email, NOW, _LATER)
    assert token
    with ThreadPoolExecutor(1) as thread:
        with writing(engine) as connection:
            changed = update(users).where(users.c.id == user.id).values(email="victim@example.org")
            connection.execute(changed)
            used = thread.submit(use[purpose], token)
            until_it_waits(engine, used)
        assert not used.result()
    kept = Users(engine).by_id(user.id)
    assert kept
    assert (kept.email_confirmed_at, kept.password_hash) == (None, user.password_hash)


def test_each_link_is_for_one_purpose_and_one_account(engine: Engine) -> None:
    store, user = OneTimeLinks(engine), some_user(engine)
    reset = store.reset(user.id, None, NOW, _LATER)
    confirmation = store.mailed_confirmation(user.email, NOW, _LATER)
    invitation = store.invite(None, NOW, _LATER)
    assert confirmation
    for wrong in (confirmation, invitation):
        assert store.user_of_reset(wrong, NOW) is None
        assert store.set_password(wrong, "new hash", NOW) is None
    for wrong in (reset, invitation):
        assert not store.may_confirm(wrong, user.id, NOW)
        assert not store.confirm_email(wrong, user.id, NOW)
    assert not store.confirm_email(confirmation, some_user(engine).id, NOW)
    assert [store.is_invitation(one, NOW) for one in (reset, confirmation, invitation)] == [
        False,
        False,
        True,
    ]
    assert store.confirm_email(confirmation, user.id, NOW)
    assert store.set_password(reset, "new hash", NOW) == user.id


def test_a_used_link_ends_the_other_links_of_its_account(engine: Engine) -> None:
    store, user = OneTimeLinks(engine), some_user(engine)
    used, other = (store.mailed_reset(user.email, NOW, _LATER) for _ in range(2))
    assert used
    assert other
    assert store.user_of_reset(other, NOW) == user.email
    assert store.set_password(used, "new hash", NOW) == user.id
    assert store.user_of_reset(other, NOW) is None


def test_expired_links_are_deleted_when_a_new_link_is_made(engine: Engine) -> None:
    store, user = OneTimeLinks(engine), some_user(engine)
    store.reset(user.id, None, NOW, _LATER)
    store.invite(None, NOW, _LATER)
    store.invite(None, _LATER + timedelta(seconds=1), _LATER + timedelta(days=1))
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(one_time_links)).scalar_one() == 1
