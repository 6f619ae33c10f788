"""The deletion ledger: stored objects to delete, listed until the object store confirms that they are gone.

An upload *reserves* its keys here before it puts the objects, and *cancels* the reservation in the
transaction that adds its row. If its process dies in between, the reservations become due and the deletion
worker deletes the objects. The functions of this module run within the caller's transaction.

All times are from the database's clock; parameters called ``now`` are for tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from catloader.store.db.clock import database_now, later, now_or
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import deletions, receipts
from catloader.store.kinds import ObjectKind, StoredObject

RESERVED_FOR_S = 300.0
"""Age at which a reservation becomes due if its row was never written.

Between reservation and commit an upload makes two S3 requests, which take seconds, and at most 66 s each with
all retries. If an upload takes longer anyway, ``cancel`` refuses it, and its row is not added.
"""


def reserve(connection: Connection, objects: Sequence[StoredObject], not_before: datetime | None) -> None:
    """Enter objects that are about to be put; they become due at ``not_before`` unless cancelled.

    Args:
        not_before: None: after ``RESERVED_FOR_S``.
    """
    due = later(now_or(None), literal(RESERVED_FOR_S)) if not_before is None else now_or(not_before)
    _enter(connection, objects, due)


def mark_due(
    connection: Connection,
    objects: Sequence[StoredObject],
    now: datetime | None = None,
    receipt: str | None = None,
) -> None:
    """Enter stored objects that no row references any more.

    Args:
        receipt: digest of the receipt for the deleted account to which they belonged; see ``receipts``.
    """
    _enter(connection, objects, now_or(now), receipt)


def _enter(
    connection: Connection,
    objects: Sequence[StoredObject],
    not_before: ColumnElement[datetime],
    receipt: str | None = None,
) -> None:
    if objects:
        rows = [{"kind": kind, "key": key, "receipt": receipt} for kind, key in objects]
        connection.execute(insert(deletions).values(not_before=not_before), rows)


def cancel(connection: Connection, objects: Sequence[StoredObject], now: datetime | None = None) -> bool:
    """Remove reservations.

    Returns:
        False: a reservation has become due, so its object may be deleted already. All of the objects are made
            due, including those that the deletion worker tried to delete before they were put. The caller
            must commit this and nothing else.
    """
    untouched = (deletions.c.not_before > now_or(now)) & (deletions.c.attempts == 0)
    removed = connection.execute(delete(deletions).where(_named(objects), untouched))
    if removed.rowcount == len(objects):
        return True
    connection.execute(delete(deletions).where(_named(objects)))
    mark_due(connection, objects, now)
    return False


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Remove rows whose objects are gone, and complete the receipts that have no more rows."""
    removed = delete(deletions).where(deletions.c.id.in_(ids)).returning(deletions.c.receipt)
    digests = sorted({receipt for receipt in connection.execute(removed).scalars() if receipt})
    if digests:
        affected = receipts.c.token_sha256.in_(digests)
        # Without the lock, two transactions that together remove the last rows would each still see the
        # other's rows.
        lock = select(receipts.c.token_sha256).where(affected).order_by(receipts.c.token_sha256)
        connection.execute(lock.with_for_update())
        left = exists().where(deletions.c.receipt == receipts.c.token_sha256)
        is_done = affected & receipts.c.done_at.is_(None) & ~left
        connection.execute(update(receipts).where(is_done).values(done_at=database_now()))


def expire(connection: Connection, objects: Sequence[StoredObject], now: datetime | None = None) -> None:
    """Make reservations due at once, because no row will reference their objects."""
    connection.execute(update(deletions).where(_named(objects)).values(not_before=now_or(now)))


def _named(objects: Sequence[StoredObject]) -> ColumnElement[bool]:
    return tuple_(deletions.c.kind, deletions.c.key).in_(objects)


@dataclass(frozen=True, slots=True)
class Deletion:
    """One row of the ledger; exactly one of ``kind`` and ``bucket`` is set."""

    id: int
    kind: ObjectKind | None
    bucket: str | None
    """Set in rows that were written before the ledger had kinds."""
    key: str
    attempts: int
    receipt: str | None = None
    """Digest of a deleted account's receipt; for these rows the deletion is verified in the object store."""


class Deletions:
    """The deletion worker's side of the ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, limit: int, now: datetime | None = None) -> list[Deletion]:
        """Return due rows, longest due first.

        Two workers may get the same rows; deleting an object twice is harmless.
        """
        columns = (
            deletions.c.id,
            deletions.c.kind,
            deletions.c.bucket,
            deletions.c.key,
            deletions.c.attempts,
            deletions.c.receipt,
        )
        query = (
            select(*columns)
            .where(deletions.c.not_before <= now_or(now))
            .order_by(deletions.c.not_before, deletions.c.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Deletion(row.id, ObjectKind(row.kind) if row.kind else None, *row[2:]) for row in rows]

    def done(self, ids: Sequence[int]) -> None:
        """Call ``remove`` in its own transaction."""
        if ids:
            with writing(self._engine) as connection:
                remove(connection, ids)

    def failed(self, id: int, error: str, retry_in_s: float, now: datetime | None = None) -> None:
        """Count an attempt and make the row due again ``retry_in_s`` from now."""
        with writing(self._engine) as connection:
            connection.execute(
                update(deletions)
                .where(deletions.c.id == id)
                .values(
                    attempts=deletions.c.attempts + 1,
                    last_error=error,
                    not_before=later(now_or(now), literal(retry_in_s)),
                )
            )

    def count(self) -> int:
        """Count all rows, including reservations."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(deletions)).scalar_one()
