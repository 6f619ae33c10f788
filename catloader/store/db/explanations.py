"""Explanations: which decision one explains, and the column that says where it lies."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Engine, delete, insert, select, update

from catloader.errors import StoreUnavailable
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos import CheckRecord
from catloader.store.db.schema import CHECK_LOG_COLUMNS, check_log, deletions, photos


class Explanations:
    def __init__(self, engine: Engine, photos_bucket: str) -> None:
        self._engine, self._bucket = engine, photos_bucket

    def judged(self, photo_id: int) -> CheckRecord | None:
        """The photo's latest decision by a network, whatever failed after it."""
        query = (
            select(*CHECK_LOG_COLUMNS)
            .where(check_log.c.photo_id == photo_id, check_log.c.model.is_not(None))
            .where(check_log.c.score.is_not(None))
            .order_by(check_log.c.id.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return CheckRecord(**row._mapping) if row else None

    def book(self, key: str, not_before: datetime) -> None:
        """Enter the key in the deletion ledger, before anything is put under it: as ``Photos.book``."""
        booking = {"bucket": self._bucket, "key": key, "not_before": not_before}
        with writing(self._engine) as connection:
            connection.execute(insert(deletions).values(booking))

    def keep(self, photo_id: int, key: str, of: str, now: datetime, *, lost: str | None = None) -> str | None:
        """Write the row's columns and strike the booked key out, in one transaction.

        What is not in force afterwards is due for deletion at once: a stale explanation, and ``key`` itself
        where the photo is gone or somebody else has explained the same decision meanwhile.

        Args:
            lost: a key that the row may name, and that the store does not have any more.

        Returns:
            The key in force; None: the photo is gone.
        Raises:
            StoreUnavailable: the booking ran out, so the object may be deleted already.
        """
        columns = (photos.c.explanation_key, photos.c.explanation_of)
        found = select(*columns).where(photos.c.id == photo_id).with_for_update()
        with writing(self._engine) as connection:
            row = connection.execute(found).one_or_none()
            if row is None or (row.explanation_key not in (None, lost) and row.explanation_of == of):
                connection.execute(update(deletions).where(self._booked(key)).values(not_before=now))
                return row.explanation_key if row else None
            untouched = (deletions.c.not_before > now) & (deletions.c.attempts == 0)
            if not connection.execute(delete(deletions).where(self._booked(key), untouched)).rowcount:
                raise StoreUnavailable("The explanation took too long. Please try again.")
            if row.explanation_key:
                stale = {"bucket": self._bucket, "key": row.explanation_key, "not_before": now}
                connection.execute(insert(deletions).values(stale))
            kept = update(photos).where(photos.c.id == photo_id)
            connection.execute(kept.values(explanation_key=key, explanation_of=of))
            return key

    def _booked(self, key: str) -> ColumnElement[bool]:
        return (deletions.c.bucket == self._bucket) & (deletions.c.key == key)
