"""The deletion ledger: stored objects to delete, listed until the object store confirms that they are gone.

An upload *reserves* its keys here before it puts the objects and *cancels* the reservation in the transaction
that adds its row. A process that dies in between leaves nothing behind: its reservations become due, and the
deletion worker deletes the objects. The functions below are called within the caller's transaction.

All times are those of the database's clock; where a function takes ``now``, it is for tests.
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
"""Age at which the reservation of an object whose row was never written becomes due.

Between its reservation and its commit an upload makes two S3 requests, which take seconds, and at most 66 s
each with all retries. One that takes longer all the same is refused by ``cancel``: its row is not added.
"""


def reserve(connection: Connection, objects: Sequence[StoredObject], not_before: datetime | None) -> None:
    """Enter objects that are about to be put; unless cancelled, they are due at ``not_before``.

    Args:
        not_before: None: in ``RESERVED_FOR_S``.
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
        receipt: of a deleted account that they belonged to; see ``receipts``.
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
        False: one has become due, so its object may be deleted already. All of the objects are due then,
            including those that the deletion worker looked for before they were put. Commit that and nothing
            else.
    """
    untouched = (deletions.c.not_before > now_or(now)) & (deletions.c.attempts == 0)
    removed = connection.execute(delete(deletions).where(_named(objects), untouched))
    if removed.rowcount == len(objects):
        return True
    connection.execute(delete(deletions).where(_named(objects)))
    mark_due(connection, objects, now)
    return False


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Remove rows whose objects are gone; complete the receipts of which no row is left."""
    removed = delete(deletions).where(deletions.c.id.in_(ids)).returning(deletions.c.receipt)
    of = sorted({receipt for receipt in connection.execute(removed).scalars() if receipt})
    if of:
        named = receipts.c.token_sha256.in_(of)
        # Without the lock, two transactions that together remove the last rows would each see the other's
        # rows as left.
        lock = select(receipts.c.token_sha256).where(named).order_by(receipts.c.token_sha256)
        connection.execute(lock.with_for_update())
        left = exists().where(deletions.c.receipt == receipts.c.token_sha256)
        is_done = named & receipts.c.done_at.is_(None) & ~left
        connection.execute(update(receipts).where(is_done).values(done_at=database_now()))


def expire(connection: Connection, objects: Sequence[StoredObject], now: datetime | None = None) -> None:
    """Make reservations due at once: nothing will name their objects."""
    connection.execute(update(deletions).where(_named(objects)).values(not_before=now_or(now)))


def _named(objects: Sequence[StoredObject]) -> ColumnElement[bool]:
    return tuple_(deletions.c.kind, deletions.c.key).in_(objects)


@dataclass(frozen=True, slots=True)
class Deletion:
    """One row of the ledger; exactly one of ``kind`` and ``bucket`` is set."""

    id: int
    kind: ObjectKind | None
    bucket: str | None
    """In rows written before the ledger had kinds."""
    key: str
    attempts: int
    receipt: str | None = None
    """Receipt of a deleted account: the object store is asked whether the object is gone."""


class Deletions:
    """The deletion worker's side of the ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, limit: int, now: datetime | None = None) -> list[Deletion]:
        """Return due rows, longest due first.

        Two workers may get the same ones: deleting an object twice does no harm.
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
        """Do what ``remove`` does, in one transaction."""
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
        """Count all rows, reservations included."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(deletions)).scalar_one()
