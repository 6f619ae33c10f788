"""Links that are good for one use and for some time: to set a new password, or to create an account."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from catloader.store.db.audit_log import record
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import one_time_links, sessions, users
from catloader.store.db.sessions import new_token

_links = one_time_links.c


class OneTimeLinks:
    """Only the digest of a link's token (256 bits) is stored; the row goes with its use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def invite(self, actor_id: int | None, now: datetime, expires_at: datetime) -> str:
        """Return the token of a new invitation."""
        with writing(self._engine) as connection:
            record(connection, actor_id, "invited somebody", f"until {expires_at:%Y-%m-%d %H:%M} UTC", now)
            return _add(connection, "invitation", None, now, expires_at)

    def reset(self, user_id: int, actor_id: int | None, now: datetime, expires_at: datetime) -> str | None:
        """Return the token of a new link to set a password; the account's links before it end.

        Returns:
            None: there is no such account.
        """
        with writing(self._engine) as connection:
            email = connection.execute(select(users.c.email).where(users.c.id == user_id)).scalar()
            if email is None:
                return None
            connection.execute(delete(one_time_links).where(_links.user_id == user_id))
            record(connection, actor_id, "made a password link", email, now)
            return _add(connection, "reset", user_id, now, expires_at)

    def user_of_reset(self, token: str, now: datetime) -> str | None:
        """Return the e-mail of the account whose password a link may set; None: no valid link."""
        query = select(users.c.email).join(one_time_links, _links.user_id == users.c.id)
        with reading(self._engine) as connection:
            return connection.execute(query.where(_valid("reset", token, now))).scalar_one_or_none()

    def set_password(self, token: str, password_hash: str, now: datetime) -> int | None:
        """Use a link: set the password and end all sessions of the account; return its id.

        Returns:
            None: the link is unknown, used or expired, and nothing was changed.
        """
        used = delete(one_time_links).where(_valid("reset", token, now)).returning(_links.user_id)
        with writing(self._engine) as connection:
            user_id: int | None = connection.execute(used).scalar_one_or_none()
            if user_id is not None:
                values = {"password_hash": password_hash}
                connection.execute(update(users).where(users.c.id == user_id).values(values))
                connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
        return user_id

    def is_invitation(self, token: str, now: datetime) -> bool:
        with reading(self._engine) as connection:
            query = select(_links.token_sha256).where(_valid("invitation", token, now))
            return connection.execute(query).first() is not None


def use_invitation(connection: Connection, token: str, now: datetime) -> bool:
    """Use an invitation up; False: it is unknown, used or expired. A step of the caller's transaction."""
    return connection.execute(delete(one_time_links).where(_valid("invitation", token, now))).rowcount == 1


def _add(
    connection: Connection, purpose: str, user_id: int | None, now: datetime, expires_at: datetime
) -> str:
    connection.execute(delete(one_time_links).where(_links.expires_at < now))
    token = new_token()
    row = {"token_sha256": _digest(token), "purpose": purpose, "user_id": user_id, "expires_at": expires_at}
    connection.execute(insert(one_time_links).values(row))
    return token


def _valid(purpose: str, token: str, now: datetime) -> ColumnElement[bool]:
    return (_links.token_sha256 == _digest(token)) & (_links.purpose == purpose) & (_links.expires_at > now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
