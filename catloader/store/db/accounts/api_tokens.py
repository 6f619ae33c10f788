"""The rows of API tokens. Only the digest of a token is stored; the token is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, insert, or_, select, update

from catloader.errors import InvalidInput
from catloader.languages import ngettext_noop
from catloader.store.db.accounts.account_lock import lock_account
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.accounts.users import User
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import api_tokens, users
from catloader.store.db.staff.audit_log import record

_TOO_MANY = ngettext_noop(
    "An account has up to %(num)d token. Revoke it first.",
    "An account has up to %(num)d tokens. Revoke one first.",
)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token, without the secret."""

    id: int
    user_id: int
    name: str
    scopes: frozenset[str]
    created_at: datetime
    used_at: datetime | None
    """To within some minutes; None: never."""
    expires_at: datetime | None


class ApiTokens:
    """Tokens, found by their digest.

    Args:
        most: maximum number of tokens of one account.
    """

    def __init__(self, engine: Engine, *, most: int) -> None:
        self._engine, self._most = engine, most

    def add(
        self,
        token: str,
        user_id: int,
        name: str,
        scopes: Collection[str],
        *,
        now: datetime,
        expires_at: datetime | None,
        by_command: bool = False,
    ) -> None:
        """Add a token, and delete expired tokens of the account.

        Args:
            by_command: record the act in the audit log: a person at the command line gives access to the
                account.

        Raises:
            InvalidInput: the account has the maximum number of tokens.
            NotFound: the account was deleted meanwhile.
        """
        row = {"token_sha256": token_digest(token), "user_id": user_id, "name": name, "created_at": now}
        row |= {"scopes": " ".join(sorted(scopes)), "expires_at": expires_at}
        is_own = api_tokens.c.user_id == user_id
        with writing(self._engine) as connection:
            lock_account(connection, user_id)  # else simultaneous requests could exceed the limit
            connection.execute(delete(api_tokens).where(is_own, api_tokens.c.expires_at <= now))
            count = connection.execute(
                select(func.count()).select_from(api_tokens).where(is_own)
            ).scalar_one()
            if count >= self._most:
                raise InvalidInput(_TOO_MANY, num=self._most)
            connection.execute(insert(api_tokens).values(row))
            if by_command:
                _record(connection, user_id, "made an API token", now)

    def find(self, token: str, now: datetime) -> tuple[ApiToken, User] | None:
        """Return the token with its account.

        None: the token is unknown, revoked or expired, or the account is disabled. The search is by digest,
        so its duration reveals nothing about existing tokens.
        """
        valid = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > now)
        query = (
            select(api_tokens, *users.c)
            .join(users, users.c.id == api_tokens.c.user_id)
            .where(api_tokens.c.token_sha256 == token_digest(token), valid, users.c.disabled_at.is_(None))
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return _token(row), User(**{column.name: row._mapping[column] for column in users.c})

    def of_user(self, user_id: int) -> list[ApiToken]:
        """Return an account's tokens, oldest first, including expired ones."""
        query = select(api_tokens).where(api_tokens.c.user_id == user_id).order_by(api_tokens.c.id)
        with reading(self._engine) as connection:
            return [_token(row) for row in connection.execute(query)]

    def revoke(self, id: int, user_id: int, *, by_command: bool = False) -> bool:
        """Delete a token; False: the account has no such token. ``by_command``: as in ``add``."""
        is_own: ColumnElement[bool] = (api_tokens.c.id == id) & (api_tokens.c.user_id == user_id)
        with writing(self._engine) as connection:
            is_revoked = connection.execute(delete(api_tokens).where(is_own)).rowcount == 1
            if is_revoked and by_command:
                _record(connection, user_id, "revoked an API token", utcnow())
        return is_revoked

    def touch(self, id: int, now: datetime) -> None:
        """Record a use."""
        with writing(self._engine) as connection:
            connection.execute(update(api_tokens).where(api_tokens.c.id == id).values(used_at=now))


def _record(connection: Connection, user_id: int, act: str, now: datetime) -> None:
    email = connection.execute(select(users.c.email).where(users.c.id == user_id)).scalar_one()
    record(connection, None, act, email, now)


def _token(row: Row[tuple[object, ...]]) -> ApiToken:
    names = ("id", "user_id", "name", "scopes", "created_at", "used_at", "expires_at")
    values = {name: row._mapping[api_tokens.c[name]] for name in names}
    return ApiToken(**{**values, "scopes": frozenset(values["scopes"].split())})
