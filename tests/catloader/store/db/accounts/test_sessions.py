"""The rows of sessions, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text

from catloader.errors import WrongCredentials
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.sessions import Sessions
from catloader.store.db.accounts.sign_up import SignUps
from catloader.store.db.accounts.users import User, Users
from catloader.store.db.engine import reading, utcnow
from catloader.store.db.schema import ended_sessions, sessions
from catloader.store.db.staff.administration import Administration
from tests.support.rows import some_user

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sessions_of(engine: Engine) -> Sessions:
    return Sessions(engine, idle_days=14, days=90, most=3)


@pytest.fixture
def store(engine: Engine) -> Sessions:
    return sessions_of(engine)


def test_a_session_is_found_only_by_its_token_and_its_token_is_not_stored(
    engine: Engine, store: Sessions
) -> None:
    user = some_user(engine)
    token = store.begin(user, NOW)
    found = store.find(token, NOW)
    assert found
    assert found.user == replace(user, logged_in_at=NOW)
    assert len(token) >= 43  # 256 bits
    assert store.begin(user, NOW) != token
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT * FROM sessions")).all()
    assert token not in str(rows)
    for other in (found.token_sha256, token[:-1], "", "\udce9", "x" * 100_000):
        assert store.find(other, NOW) is None


def test_last_log_in_outlives_the_session(engine: Engine, store: Sessions) -> None:
    users = Users(engine)
    _, new = SignUps(engine).create("new@example.org", "a hash", NOW)
    user = some_user(engine)
    assert user.logged_in_at is None
    for days in (1, 2):
        token = store.begin(user, NOW + timedelta(days=days))
    session = store.find(token, NOW + timedelta(days=2))
    assert session
    store.end(session)
    found = {one.id: one.logged_in_at for one in users.all()}
    assert found == {new: NOW, user.id: NOW + timedelta(days=2)}


def test_idle_and_absolute_limits_end_a_session(engine: Engine, store: Sessions) -> None:
    token = store.begin(some_user(engine), NOW)
    day = timedelta(days=1)
    assert store.find(token, NOW + 13 * day)
    assert store.find(token, NOW + 15 * day) is None
    for days in range(10, 100, 10):
        if session := store.find(token, NOW + days * day):
            store.touch(session, NOW + days * day)
    assert store.find(token, NOW + 89 * day), "it was used every ten days"
    assert store.find(token, NOW + 91 * day) is None


def test_an_ended_session_is_not_revived_by_a_late_use(engine: Engine, store: Sessions) -> None:
    token = store.begin(some_user(engine), NOW)
    session = store.find(token, NOW)
    assert session
    store.end(session)
    store.touch(session, NOW)
    assert store.find(token, NOW) is None


def test_old_sessions_are_deleted_and_their_number_is_bounded(engine: Engine, store: Sessions) -> None:
    user, other = some_user(engine), some_user(engine)
    store.begin(other, NOW - timedelta(days=91))
    others = store.begin(other, NOW)
    tokens = [store.begin(user, NOW + timedelta(minutes=n)) for n in range(5)]
    later = NOW + timedelta(minutes=5)
    assert [store.find(token, later) is not None for token in tokens] == [False] * 2 + [True] * 3
    assert store.find(others, later)
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(sessions)).scalar_one() == 4


def test_deleting_an_account_ends_its_sessions(engine: Engine, store: Sessions) -> None:
    user = some_user(engine)
    token = store.begin(user, NOW)
    Users(engine).delete(user.id, NOW)
    assert store.find(token, NOW) is None
    with pytest.raises(WrongCredentials):
        store.begin(user, NOW)


_ENDINGS: dict[str, Callable[[Engine, Sessions, User], object]] = {
    "one": lambda _, store, user: [
        store.end_one(user.id, one.token_sha256) for one in store.of_user(user.id, NOW)
    ],
    "all": lambda _, store, user: store.end_all(user.id),
    "new password": lambda engine, _, user: Users(engine).set_password(user.id, "another hash"),
    "command line": lambda engine, _, user: Users(engine).reset_password(user.id, "another hash"),
    "link": lambda engine, _, user: _reset_by_link(engine, user),
    "disabled": lambda engine, _, user: Administration(engine).disable(user.id, user.id, NOW),
    "deleted": lambda engine, _, user: Users(engine).delete(user.id, NOW),
}


def _reset_by_link(engine: Engine, user: User) -> None:
    links = OneTimeLinks(engine)
    token = links.reset(user.id, None, NOW, NOW + timedelta(days=1))
    assert token
    assert links.set_password(token, "another hash", NOW)


@pytest.mark.parametrize("ending", _ENDINGS)
def test_only_sessions_that_were_ended_on_purpose_count_as_ended(
    engine: Engine, store: Sessions, ending: str
) -> None:
    user, other = some_user(engine), some_user(engine)
    token, kept, own = store.begin(user, NOW), store.begin(other, NOW), store.begin(other, NOW)
    session = store.find(own, NOW)
    assert session
    store.end(session)
    _ENDINGS[ending](engine, store, user)
    assert store.find(token, NOW) is None
    assert store.were_ended(["unknown", token])
    assert not store.were_ended([kept, own, "unknown"])


def test_idle_and_displaced_sessions_do_not_count_as_ended(engine: Engine, store: Sessions) -> None:
    user = some_user(engine)
    tokens = [store.begin(user, NOW + timedelta(minutes=n)) for n in range(4)]
    later = NOW + timedelta(days=15)
    store.begin(some_user(engine), later)
    assert store.find(tokens[3], later) is None
    assert not store.were_ended(tokens)
    store.end_all(user.id)
    assert [store.were_ended([token]) for token in tokens] == [False, True, True, True]


def test_digests_of_ended_sessions_are_deleted_with_their_cookies_and_are_bounded(
    engine: Engine, store: Sessions
) -> None:
    user, deleted = some_user(engine), some_user(engine)
    lost = store.begin(deleted, utcnow())
    Users(engine).delete(deleted.id)
    tokens = []
    for _ in range(5):
        tokens.append(store.begin(user, utcnow()))
        store.end_all(user.id)
    store.begin(user, utcnow())
    assert [store.were_ended([token]) for token in tokens] == [False, False, True, True, True]
    with reading(engine) as connection:
        assert None in connection.execute(select(ended_sessions.c.user_id)).scalars().all()
    store.begin(user, utcnow() + timedelta(days=89))
    assert store.were_ended([lost])
    store.begin(user, utcnow() + timedelta(days=91))
    assert not store.were_ended([lost, *tokens])


def test_a_log_in_that_began_before_a_password_change_begins_no_session(
    engine: Engine, store: Sessions
) -> None:
    user, disabled = some_user(engine), some_user(engine)
    Users(engine).set_password(user.id, "another hash")
    Administration(engine).disable(disabled.id, user.id, NOW)
    for account in (user, disabled):
        with pytest.raises(WrongCredentials):
            store.begin(account, NOW)
    assert store.begin(replace(user, password_hash="another hash"), NOW)


def test_an_ended_session_is_replaced_once_and_not_after_a_log_out(engine: Engine, store: Sessions) -> None:
    user = some_user(engine)
    first, second, kept = (store.begin(user, NOW) for _ in range(3))
    assert store.begin_again(kept, user, NOW) is None, "it is still open"
    store.end_all(user.id)
    token = store.begin_again(first, user, NOW)
    assert token
    assert store.find(token, NOW)
    store.forget([second, "unknown"])
    assert [store.begin_again(ended, user, NOW) for ended in (first, second, "unknown")] == [None] * 3
    assert len(store.of_user(user.id, NOW)) == 1
    Users(engine).set_password(user.id, "another hash")
    with pytest.raises(WrongCredentials):
        store.begin_again(token, user, NOW)


def test_sign_up_with_a_registered_e_mail_begins_a_session_without_an_account(
    engine: Engine, store: Sessions
) -> None:
    first, id = SignUps(engine).create("Ada@example.org", "hash", NOW)
    again, none = SignUps(engine).create(" ada@Example.org", "another hash", NOW)
    session, decoy = store.find(first, NOW), store.find(again, NOW)
    assert session
    assert session.user
    assert session.user.id == id
    assert decoy
    assert (decoy.user, none) == (None, None)
    assert [user.password_hash for user in Users(engine).all()] == ["hash"]
