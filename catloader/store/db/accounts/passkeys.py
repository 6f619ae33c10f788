"""The rows of passkeys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.errors import InvalidInput
from catloader.store.db.accounts.account_lock import lock_account
from catloader.store.db.accounts.users import User
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import passkeys, users


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of an account."""

    id: int
    user_id: int
    credential_id: str
    """The id that the authenticator gave to it, base64url."""
    public_key: bytes
    """A COSE key."""
    sign_count: int
    """The authenticator's counter at the last use; 0: it does not count."""
    name: str
    created_at: datetime
    used_at: datetime | None


class Passkeys:
    """Passkeys, found by account or credential id."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        user_id: int,
        credential_id: str,
        public_key: bytes,
        sign_count: int,
        *,
        name: str,
        now: datetime,
    ) -> None:
        """Add a passkey.

        Raises:
            InvalidInput: the passkey is already registered.
            NotFound: the account was deleted meanwhile.
        """
        row = {"user_id": user_id, "credential_id": credential_id, "public_key": public_key}
        row |= {"sign_count": sign_count, "name": name, "created_at": now}
        try:
            with writing(self._engine) as connection:
                lock_account(connection, user_id)
                connection.execute(insert(passkeys).values(row))
        except IntegrityError:
            raise InvalidInput("This passkey is already registered.") from None

    def of_user(self, user_id: int) -> list[Passkey]:
        """Return an account's passkeys, oldest first."""
        query = select(passkeys).where(passkeys.c.user_id == user_id).order_by(passkeys.c.id)
        with reading(self._engine) as connection:
            return [Passkey(**row._mapping) for row in connection.execute(query)]

    def find(self, credential_id: str) -> tuple[Passkey, User] | None:
        """Return the passkey with its account; None: no such passkey, or the account is disabled."""
        key = select(passkeys).where(passkeys.c.credential_id == credential_id)
        with reading(self._engine) as connection:
            row = connection.execute(key).one_or_none()
            if row is None:
                return None
            owner = select(users).where(users.c.id == row.user_id, users.c.disabled_at.is_(None))
            user = connection.execute(owner).one_or_none()
        return (Passkey(**row._mapping), User(**user._mapping)) if user else None

    def use(self, passkey: Passkey, sign_count: int, now: datetime) -> bool:
        """Record a use; False: another request has removed or used the passkey meanwhile."""
        is_unchanged = (passkeys.c.id == passkey.id) & (passkeys.c.sign_count == passkey.sign_count)
        with writing(self._engine) as connection:
            used = update(passkeys).where(is_unchanged).values(sign_count=sign_count, used_at=now)
            return connection.execute(used).rowcount == 1

    def rename(self, id: int, user_id: int, name: str) -> bool:
        """Give an account's passkey another name; False: the account has no such passkey."""
        is_own = (passkeys.c.id == id) & (passkeys.c.user_id == user_id)
        with writing(self._engine) as connection:
            return connection.execute(update(passkeys).where(is_own).values(name=name)).rowcount == 1

    def remove(self, id: int, user_id: int) -> bool:
        """Remove an account's passkey; False: the account has no such passkey."""
        is_own = (passkeys.c.id == id) & (passkeys.c.user_id == user_id)
        with writing(self._engine) as connection:
            return connection.execute(delete(passkeys).where(is_own)).rowcount == 1
