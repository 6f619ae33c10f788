"""Receipts for deleted accounts: the numbers of objects to delete and of objects that are left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, func, insert, select

from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.engine import reading
from catloader.store.db.schema import deletions, receipts

_KEPT_FOR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A deleted account; nothing identifies its owner."""

    deleted_at: datetime
    photos: int
    size_bytes: int
    objects: int
    """Photos, thumbnails and explanations that were in the object store."""
    left: int
    """Number of objects that the deletion ledger still lists."""
    done_at: datetime | None
    """Time at which the last object was gone; None: some are left."""


class Receipts:
    """Read access to receipts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, token: str) -> Receipt | None:
        """Return the receipt of a link's token; None: there is none."""
        left = select(func.count()).where(deletions.c.receipt == receipts.c.token_sha256)
        columns = [column for column in receipts.columns if column.key != "token_sha256"]
        query = select(*columns, left.correlate(receipts).scalar_subquery().label("left"))
        with reading(self._engine) as connection:
            row = connection.execute(
                query.where(receipts.c.token_sha256 == token_digest(token))
            ).one_or_none()
        return Receipt(**row._mapping) if row else None


def enter(connection: Connection, receipt: str, now: datetime, photos: int, size_bytes: int) -> None:
    """Add the receipt of a deleted account, and delete old receipts, within the caller's transaction.

    The transaction has already entered the account's objects in the deletion ledger.

    Args:
        receipt: digest of the link's token.
        photos: their number.
        size_bytes: size of their large renditions.
    """
    connection.execute(delete(receipts).where(receipts.c.deleted_at < now - _KEPT_FOR))
    count = select(func.count()).where(deletions.c.receipt == receipt)
    objects = connection.execute(count).scalar_one()
    values = {"token_sha256": receipt, "deleted_at": now, "photos": photos, "size_bytes": size_bytes}
    values |= {"objects": objects, "done_at": None if objects else now}
    connection.execute(insert(receipts).values(values))
