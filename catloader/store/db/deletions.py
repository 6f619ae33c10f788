"""The deletion ledger: S3 objects that must go, and stay listed until S3 says that they are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select, update

from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import deletions

RESERVED_FOR = timedelta(hours=1)
"""Age at which the row of an object that was stored but never recorded becomes due.

An upload makes two S3 requests between its reservation and its commit, each at most 66 s with all retries.
"""


@dataclass(frozen=True, slots=True)
class Deletion:
    id: int
    bucket: str
    key: str
    attempts: int


class Deletions:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, now: datetime, limit: int) -> list[Deletion]:
        """Longest due first. Two sweepers may get the same ones: deleting twice does no harm."""
        columns = (deletions.c.id, deletions.c.bucket, deletions.c.key, deletions.c.attempts)
        query = (
            select(*columns)
            .where(deletions.c.not_before <= now)
            .order_by(deletions.c.not_before, deletions.c.id)
        )
        with reading(self._engine) as connection:
            return [Deletion(**row._mapping) for row in connection.execute(query.limit(limit))]

    def done(self, ids: Sequence[int]) -> None:
        if ids:
            with writing(self._engine) as connection:
                connection.execute(delete(deletions).where(deletions.c.id.in_(ids)))

    def failed(self, id: int, error: str, now: datetime, retry_in_s: float) -> None:
        with writing(self._engine) as connection:
            connection.execute(
                update(deletions)
                .where(deletions.c.id == id)
                .values(
                    attempts=deletions.c.attempts + 1,
                    last_error=error,
                    not_before=now + timedelta(seconds=retry_in_s),
                )
            )

    def count(self) -> int:
        """All of them, booked uploads included."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(deletions)).scalar_one()
