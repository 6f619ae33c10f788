"""The rows of sessions. A session is its row; the cookie is only a random number that identifies the row.

Therefore a log-out, a new password or the deletion of the account ends sessions everywhere at once, and a
late response can't restore them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, insert, select, update

from catloader.errors import WrongCredentials
from catloader.store.db.accounts.ended_sessions import (
    delete_ended,
    end_sessions,
    forget_ended,
    were_ended,
)
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.accounts.users import User
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import api_tokens, ended_sessions, sessions, users


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's log-in."""

    token_sha256: str
    user: User | None
    """None: made by a sign-up with an e-mail that is already registered. The session gives no access."""
    used_at: datetime


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session in the list that its user sees."""

    token_sha256: str
    browser: str
    created_at: datetime
    used_at: datetime


class Sessions:
    """Open sessions, found by the token in their cookie. Only its digest is stored.

    Args:
        idle_days: time after the last page request at which a session ends.
        days: time after the log-in at which a session ends in any case.
        most: maximum number of sessions of one account; another log-in ends the one unused for longest.
    """

    def __init__(self, engine: Engine, *, idle_days: float, days: float, most: int) -> None:
        self._engine, self._most = engine, most
        self._idle, self._absolute = timedelta(days=idle_days), timedelta(days=days)

    def begin(self, user: User, now: datetime, browser: str = "") -> str:
        """Begin a session and return its token (256 bits); delete sessions whose cookies have expired.

        Args:
            user: the row from the time when the password was compared.

        Raises:
            WrongCredentials: meanwhile the account was deleted or disabled, or its password changed.
        """
        with writing(self._engine) as connection:
            self._lock(connection, user)
            return self._begin(connection, user, now, browser)

    def begin_again(self, ended: str, user: User, now: datetime, browser: str = "") -> str | None:
        """Begin a session instead of one that was ended with all sessions of the account.

        Args:
            ended: token of the ended session.

        Returns:
            The token; None: the session has been replaced already, or its browser has logged out.

        Raises:
            WrongCredentials: as for ``begin``.
        """
        with writing(self._engine) as connection:
            self._lock(connection, user)
            if not delete_ended(connection, [ended]):
                return None
            return self._begin(connection, user, now, browser)

    def _lock(self, connection: Connection, user: User) -> None:
        # Transactions that end all sessions of the account lock its row first. So they run either before or
        # after this one.
        is_same = (users.c.id == user.id) & (users.c.password_hash == user.password_hash)
        account = select(users.c.id).where(is_same, users.c.disabled_at.is_(None))
        if connection.execute(account.with_for_update()).first() is None:
            raise WrongCredentials("E-mail or password is wrong.")

    def _begin(self, connection: Connection, user: User, now: datetime, browser: str) -> str:
        self._delete_old(connection, now)
        insert_session(connection, token := new_token(), user.id, now, browser)
        connection.execute(update(users).where(users.c.id == user.id).values(logged_in_at=now))
        self._delete_most_idle(connection, user.id)
        forget_ended(connection, user.id, now, after=self._absolute, most=self._most)
        return token

    def find(self, token: str, now: datetime) -> Session | None:
        """Return the session with its account; None: the session is unknown, ended or expired."""
        query = (
            select(sessions, *users.c)
            .outerjoin(users, users.c.id == sessions.c.user_id)
            .where(sessions.c.token_sha256 == token_digest(token), ~self._expired(now))
            .where(users.c.disabled_at.is_(None))
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        values = row._mapping
        user = User(**{column.name: values[column] for column in users.c}) if values[users.c.id] else None
        return Session(values[sessions.c.token_sha256], user, values[sessions.c.used_at])

    def were_ended(self, tokens: Sequence[str]) -> bool:
        """Return True if one of the sessions was ended on purpose, False if all expired or are unknown."""
        with reading(self._engine) as connection:
            return were_ended(connection, tokens)

    def touch(self, session: Session, now: datetime) -> None:
        """Record a use. A session that was ended meanwhile stays ended."""
        with writing(self._engine) as connection:
            connection.execute(
                update(sessions).where(sessions.c.token_sha256 == session.token_sha256).values(used_at=now)
            )

    def with_access(self, ids: Sequence[int], now: datetime | None = None) -> set[int]:
        """Return the ids of those accounts that have an open session or a valid API token."""
        now = now or utcnow()
        is_open = exists().where(sessions.c.user_id == users.c.id, ~self._expired(now))
        is_valid = api_tokens.c.expires_at.is_(None) | (api_tokens.c.expires_at > now)
        has_token = exists().where(api_tokens.c.user_id == users.c.id, is_valid)
        query = select(users.c.id).where(users.c.id.in_(ids), users.c.disabled_at.is_(None))
        with reading(self._engine) as connection:
            return set(connection.execute(query.where(is_open | has_token)).scalars())

    def end(self, session: Session) -> None:
        """End a session in its own browser, whose cookie is deleted by the response; no digest remains."""
        with writing(self._engine) as connection:
            for table in (sessions, ended_sessions):
                connection.execute(delete(table).where(table.c.token_sha256 == session.token_sha256))

    def forget(self, tokens: Sequence[str]) -> None:
        """Delete the digests of sessions that were ended before their own browser logged out."""
        with writing(self._engine) as connection:
            delete_ended(connection, tokens)

    def of_user(self, user_id: int, now: datetime) -> list[OpenSession]:
        """Return an account's open sessions, most recently used first."""
        query = (
            select(sessions.c.token_sha256, sessions.c.browser, sessions.c.created_at, sessions.c.used_at)
            .where(sessions.c.user_id == user_id, ~self._expired(now))
            .order_by(sessions.c.used_at.desc())
        )
        with reading(self._engine) as connection:
            return [OpenSession(**row._mapping) for row in connection.execute(query)]

    def end_one(self, user_id: int, token_sha256: str) -> bool:
        """End one session of an account; False: the account has no such session."""
        return self._end(user_id, sessions.c.token_sha256 == token_sha256) == 1

    def end_all(self, user_id: int) -> None:
        self._end(user_id)

    def _end(self, user_id: int, *conditions: ColumnElement[bool]) -> int:
        with writing(self._engine) as connection:
            connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())
            return end_sessions(connection, user_id, *conditions)

    def _expired(self, now: datetime) -> ColumnElement[bool]:
        return (sessions.c.used_at < now - self._idle) | (sessions.c.created_at < now - self._absolute)

    def _delete_old(self, connection: Connection, now: datetime) -> None:
        # Idle sessions stay, because a log-out from another device must reach their browsers too. Rows that
        # another log-in is deleting are skipped, because the two transactions could deadlock.
        old = select(sessions.c.token_sha256).where(sessions.c.created_at < now - self._absolute)
        old = old.with_for_update(skip_locked=True)
        connection.execute(delete(sessions).where(sessions.c.token_sha256.in_(old)))

    def _delete_most_idle(self, connection: Connection, user_id: int) -> None:
        is_own = sessions.c.user_id == user_id
        latest = (
            select(sessions.c.token_sha256)
            .where(is_own)
            .order_by(sessions.c.used_at.desc())
            .limit(self._most)
        )
        connection.execute(delete(sessions).where(is_own, sessions.c.token_sha256.not_in(latest)))


def new_token() -> str:
    return secrets.token_urlsafe(32)


def insert_session(
    connection: Connection, token: str, user_id: int | None, now: datetime, browser: str
) -> None:
    """Add a session within the caller's transaction."""
    row = {"token_sha256": token_digest(token), "user_id": user_id, "created_at": now, "used_at": now}
    connection.execute(insert(sessions).values({**row, "browser": browser}))


def any_log_in(engine: Engine) -> bool:
    """Return True if a browser or a program has a log-in, for which the site needs its key."""
    some = select(sessions.c.token_sha256).exists() | select(api_tokens.c.id).exists()
    with reading(engine) as connection:
        return bool(connection.execute(select(some)).scalar_one())
