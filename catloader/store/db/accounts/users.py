"""The rows of accounts."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.errors import EmailTaken, NotFound, WrongCredentials
from catloader.store.db.accounts.account_lock import lock_account
from catloader.store.db.accounts.ended_sessions import end_sessions
from catloader.store.db.accounts.receipts import enter
from catloader.store.db.engine import database_name, reading, utcnow, writing
from catloader.store.db.photos.photo_rows import delete_photos
from catloader.store.db.schema import one_time_links, photos, users
from catloader.store.db.staff.audit_log import record
from catloader.texts import ascii_domain

Role = Literal["admin", "reviewer"]


@dataclass(frozen=True, slots=True)
class User:
    """One account."""

    id: int
    email: str
    password_hash: str
    is_admin: bool
    is_reviewer: bool
    created_at: datetime
    disabled_at: datetime | None = None
    max_photos: int | None = None
    max_bytes: int | None = None
    email_confirmed_at: datetime | None = None
    language: str | None = None
    """Code of the language that was chosen or in which a mail was requested; None: the browser's language."""
    wants_notices: bool = False
    logged_in_at: datetime | None = None
    """Last log-in; None: never, or before the site recorded log-ins."""

    @property
    def gets_notices(self) -> bool:
        """True if mails about decisions are sent: they are wanted, and the address is confirmed."""
        return self.wants_notices and self.email_confirmed_at is not None and self.disabled_at is None

    @property
    def role(self) -> str:
        return "admin" if self.is_admin else "reviewer" if self.is_reviewer else "user"

    @property
    def may_review(self) -> bool:
        return self.is_admin or self.is_reviewer


class Users:
    """Accounts, found by id or by e-mail. E-mails are compared in the form that ``normal_email`` returns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def database(self) -> str:
        """The database's address without password, for messages."""
        return database_name(self._engine)

    def create(self, email: str, password_hash: str, now: datetime, *, is_admin: bool = False) -> User:
        """Add an account.

        Args:
            is_admin: make the account an administrator; only the command line does so. This is recorded in
                the same transaction.

        Raises:
            EmailTaken: another account has this e-mail.
        """
        values = {
            "email": normal_email(email),
            "password_hash": password_hash,
            "is_admin": is_admin,
            "created_at": now,
        }
        try:
            with writing(self._engine) as connection:
                row = connection.execute(insert(users).values(values).returning(*users.c)).one()
                if is_admin:
                    record(connection, None, "made admin", row.email, now)
        except IntegrityError:
            raise EmailTaken("This e-mail is already registered.") from None
        return User(**row._mapping)

    def by_email(self, email: str) -> User | None:
        """Return the account with this e-mail.

        Texts with control characters or lone surrogates are never an e-mail, and databases refuse to search
        for them.
        """
        if any(unicodedata.category(c) in {"Cc", "Cs"} for c in normal_email(email)):
            return None
        return self._one(users.c.email == normal_email(email))

    def by_id(self, id: int) -> User | None:
        return self._one(users.c.id == id)

    def all(self) -> list[User]:
        """Return every account, oldest first."""
        with reading(self._engine) as connection:
            return [User(**row._mapping) for row in connection.execute(select(users).order_by(users.c.id))]

    def _one(self, condition: ColumnElement[bool]) -> User | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(users).where(condition)).one_or_none()
        return User(**row._mapping) if row else None

    def set_password(self, id: int, password_hash: str, compared: str | None = None) -> None:
        """Set a new password; end all sessions of the account and all its links that set a password.

        Args:
            compared: the hash with which the current password was compared.

        Raises:
            NotFound: the account was deleted meanwhile.
            WrongCredentials: another password was set meanwhile, for example by a link.
        """
        with writing(self._engine) as connection:
            _refuse_changed(connection, id, compared)
            replace_password(connection, id, password_hash)

    def reset_password(self, id: int, password_hash: str) -> None:
        """Set a new password from the command line, and record this; otherwise like ``set_password``."""
        with writing(self._engine) as connection:
            email = replace_password(connection, id, password_hash)
            record(connection, None, "set a new password", email, utcnow())

    def set_email(self, id: int, email: str, compared: str | None = None) -> None:
        """Give the account another e-mail, which is unconfirmed.

        Args:
            compared: as for ``set_password``.

        Raises:
            EmailTaken: another account has this e-mail.
            WrongCredentials: as for ``set_password``.
        """
        try:
            with writing(self._engine) as connection:
                _refuse_changed(connection, id, compared)
                values = {"email": normal_email(email), "email_confirmed_at": None}
                connection.execute(update(users).where(users.c.id == id).values(values))
        except IntegrityError:
            raise EmailTaken("This e-mail can't be used. Please choose another one.") from None

    def set_language(self, id: int, language: str | None) -> None:
        with writing(self._engine) as connection:
            connection.execute(update(users).where(users.c.id == id).values(language=language))

    def set_notices(self, id: int, *, wanted: bool) -> None:
        with writing(self._engine) as connection:
            connection.execute(update(users).where(users.c.id == id).values(wants_notices=wanted))

    def grant(self, id: int, role: Role) -> None:
        """Make the account an administrator or a reviewer from the command line, and record this."""
        column = {"admin": users.c.is_admin, "reviewer": users.c.is_reviewer}[role]
        with writing(self._engine) as connection:
            email = _changed(connection, id, {column.key: True})
            record(connection, None, f"made {role}", email, utcnow())

    def delete(self, id: int, now: datetime | None = None, receipt: str | None = None) -> int:
        """Delete account, sessions, photos, likes and logs, and mark the objects as due, in one transaction.

        Args:
            receipt: digest of the token of the receipt's link (``token_digest``); the receipt counts the
                objects.
        Returns:
            The number of photos.
        Raises:
            NotFound: the account was deleted meanwhile, and has its receipt.
        """
        with writing(self._engine) as connection:
            # The lock makes a concurrent upload wait before it adds its row; then its owner is missing.
            lock_account(connection, id)
            size = select(func.coalesce(func.sum(photos.c.size_bytes), 0)).where(photos.c.owner_id == id)
            size_bytes = int(connection.execute(size).scalar_one())
            deleted = delete_photos(connection, photos.c.owner_id == id, now, receipt)
            end_sessions(connection, id)
            connection.execute(delete(users).where(users.c.id == id))
            if receipt is not None:
                enter(connection, receipt, now or utcnow(), deleted, size_bytes)
        return deleted


def _changed(connection: Connection, id: int, values: dict[str, Any]) -> str:
    """Change columns of an account, and return its e-mail.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    change = update(users).where(users.c.id == id).values(values).returning(users.c.email)
    email: str | None = connection.execute(change).scalar_one_or_none()
    if email is None:
        raise NotFound("This account does not exist any more.")
    return email


def _refuse_changed(connection: Connection, id: int, compared: str | None) -> None:
    """Lock the account and check that its password is still the one that was compared.

    Raises:
        WrongCredentials: another password was set meanwhile.
    """
    query = select(users.c.password_hash).where(users.c.id == id).with_for_update()
    if compared is not None and connection.execute(query).scalar_one_or_none() not in (None, compared):
        raise WrongCredentials("The password is wrong.")


def replace_password(connection: Connection, id: int, password_hash: str) -> str:
    """Set a password within the caller's transaction, and return the account's e-mail.

    All sessions of the account end, and so do its links that set a password.

    Raises:
        NotFound: the account was deleted meanwhile.
    """
    email = _changed(connection, id, {"password_hash": password_hash})
    end_sessions(connection, id)
    end_resets(connection, id)
    return email


def end_resets(connection: Connection, id: int) -> None:
    """End the account's links that set a password."""
    links = one_time_links.c
    connection.execute(delete(one_time_links).where(links.user_id == id, links.purpose == "reset"))


def normal_email(email: str) -> str:
    """Return an e-mail as stored and compared: NFC, lower case, no spaces around it, the domain in ASCII.

    Chrome sends the domain ``bücher.example`` as ``xn--bcher-kva.example``, Firefox as it was typed. Mail
    servers need the form in ASCII.
    """
    email = unicodedata.normalize("NFC", email).strip().lower()
    local, at, domain = email.rpartition("@")
    return f"{local}@{ascii_domain(domain)}" if at else email
