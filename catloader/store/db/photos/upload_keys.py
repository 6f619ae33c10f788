"""The rows of idempotency keys: an upload that is repeated with the same key makes no second photo."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select

from catloader.errors import KeyReused
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.engine import reading
from catloader.store.db.schema import upload_keys

_KEPT = timedelta(days=1)
"""Long enough, since clients repeat an upload within minutes."""


@dataclass(frozen=True, slots=True)
class UploadKey:
    """The idempotency key that a client has chosen for one upload."""

    key: str
    body_sha256: str
    """Digest of the file as it was received."""


class UploadKeys:
    """The photos that were uploaded with a key; ``Photos.add`` adds the rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def photo_of(self, user_id: int, key: UploadKey, now: datetime) -> int | None:
        """Return the photo that was uploaded with this key within the last day; None: there is none.

        Raises:
            KeyReused: the photo was uploaded from other bytes.
        """
        query = select(upload_keys.c.photo_id.label("photo_id"), upload_keys.c.body_sha256).where(
            _is_used(user_id, key.key, now)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is not None and row.body_sha256 != key.body_sha256:
            raise KeyReused("This Idempotency-Key was used for another file. Each file needs its own.")
        return row.photo_id if row else None

    def photo_with(self, user_id: int, key: str, now: datetime) -> int | None:
        """Return the photo that was uploaded with this key within the last day, from any bytes."""
        query = select(upload_keys.c.photo_id).where(_is_used(user_id, key, now))
        with reading(self._engine) as connection:
            return connection.execute(query).scalar()


def add_key(connection: Connection, user_id: int, key: UploadKey, photo_id: int, now: datetime) -> None:
    """Add a key and delete the account's old keys, within the caller's transaction.

    Raises:
        IntegrityError: the account has already used the key.
    """
    old = (upload_keys.c.user_id == user_id) & (upload_keys.c.created_at < now - _KEPT)
    connection.execute(delete(upload_keys).where(old))
    row = {"user_id": user_id, "key_sha256": token_digest(key.key), "body_sha256": key.body_sha256}
    connection.execute(insert(upload_keys).values(**row, photo_id=photo_id, created_at=now))


def _is_used(user_id: int, key: str, now: datetime) -> ColumnElement[bool]:
    """Return the condition of an account's key that is valid; the next upload deletes older keys."""
    is_key = (upload_keys.c.user_id == user_id) & (upload_keys.c.key_sha256 == token_digest(key))
    return is_key & (upload_keys.c.created_at >= now - _KEPT)
