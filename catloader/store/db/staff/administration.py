"""Accounts for administrators. Each change is recorded in the audit log in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, func, select, update

from catloader.errors import InvalidInput
from catloader.store.db.accounts.account_lock import lock_both
from catloader.store.db.accounts.ended_sessions import end_sessions
from catloader.store.db.accounts.usage import Used
from catloader.store.db.accounts.users import User, normal_email
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import photos, users
from catloader.store.db.staff.audit_log import record
from checker.plurals import counted

AnyRole = Literal["user", "reviewer", "admin"]


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its usage."""

    user: User
    used: Used


class Administration:
    """Pages of accounts; changes of their roles, their quotas and their right to log in.

    Changes raise ``NotFound`` if the account, or that of the administrator, was deleted meanwhile.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, after: int, limit: int, e_mail_part: str = "") -> list[Account]:
        """Return a page of accounts after an id, by rising id, whose e-mail contains a text."""
        query = select(users).where(users.c.id > after).order_by(users.c.id).limit(limit)
        if e_mail_part:
            query = query.where(users.c.email.contains(normal_email(e_mail_part), autoescape=True))
        with reading(self._engine) as connection:
            matches = [User(**row._mapping) for row in connection.execute(query)]
            return _with_usage(connection, matches)

    def account(self, id: int) -> Account | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(users).where(users.c.id == id)).one_or_none()
            return _with_usage(connection, [User(**row._mapping)])[0] if row else None

    def largest(self, limit: int) -> list[Account]:
        """Return the accounts that store the most bytes, largest first."""
        size = func.sum(photos.c.size_bytes)
        query = select(users).join(photos).group_by(users.c.id).order_by(size.desc(), users.c.id).limit(limit)
        with reading(self._engine) as connection:
            matches = [User(**row._mapping) for row in connection.execute(query)]
            return _with_usage(connection, matches)

    def set_role(self, id: int, role: AnyRole, actor_id: int, now: datetime) -> None:
        """Give the account another role.

        Raises:
            InvalidInput: no administrator would be left.
        """
        values = {"is_admin": role == "admin", "is_reviewer": role == "reviewer"}
        self._change(id, values, actor_id, f"made {role}", now)

    def disable(self, id: int, actor_id: int, now: datetime) -> None:
        """Prevent the account from logging in, and end its sessions.

        Raises:
            InvalidInput: no administrator would be left.
        """
        self._change(id, {"disabled_at": now}, actor_id, "disabled", now)

    def enable(self, id: int, actor_id: int, now: datetime) -> None:
        self._change(id, {"disabled_at": None}, actor_id, "enabled", now)

    def set_quota(
        self, id: int, max_photos: int | None, max_bytes: int | None, actor_id: int, now: datetime
    ) -> None:
        """Set the account's limits; None: the limits of the settings; 0: unlimited."""
        values = {"max_photos": max_photos, "max_bytes": max_bytes}
        limits = f"{_shown(max_photos, 'photo')}, {_shown(max_bytes, 'byte')}"
        self._change(id, values, actor_id, f"set the quota to {limits}", now)

    def _change(self, id: int, values: dict[str, Any], actor_id: int, act: str, now: datetime) -> None:
        query = update(users).where(users.c.id == id).values(values).returning(users.c.email)
        with writing(self._engine) as connection:
            if values.get("disabled_at") or values.get("is_admin") is False:
                lock_both(connection, id, actor_id, _able_administrators())
                _refuse_last_administrator(connection, id)
            else:
                lock_both(connection, id, actor_id)
            email = connection.execute(query).scalar_one()
            if values.get("disabled_at"):
                end_sessions(connection, id)
            record(connection, actor_id, act, email, now)


def _able_administrators() -> ColumnElement[bool]:
    return users.c.is_admin & users.c.disabled_at.is_(None)


def _refuse_last_administrator(connection: Connection, id: int) -> None:
    """Refuse a change that would leave no administrator; the caller has locked the rows of all of them.

    If two administrators act on each other at the same time, the second waits for the first and is refused.
    """
    if connection.execute(select(users.c.id).where(_able_administrators())).scalars().all() == [id]:
        raise InvalidInput("At least one administrator must be left.")


def _shown(limit: int | None, noun: str) -> str:
    if limit:
        return counted(limit, noun)
    return f"the usual number of {noun}s" if limit is None else f"any number of {noun}s"


def _with_usage(connection: Connection, accounts: list[User]) -> list[Account]:
    query = (
        select(photos.c.owner_id, func.count(), func.sum(photos.c.size_bytes))
        .where(photos.c.owner_id.in_([user.id for user in accounts]))
        .group_by(photos.c.owner_id)
    )
    used = {row[0]: Used(row[1], int(row[2])) for row in connection.execute(query)}
    return [Account(user, used.get(user.id, Used(0, 0))) for user in accounts]
