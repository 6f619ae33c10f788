"""The bin: photos that their owners deleted and can restore for some days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, func, literal, select, tuple_, update

from catloader.store.db.clock import later, now_or
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.gallery import Position
from catloader.store.db.photos.photo_rows import Photo, delete_photos, not_in_bin
from catloader.store.db.schema import photos
from catloader.store.db.tables.utc_datetime import UtcDateTime

_BATCH = 1000
"""Rows per transaction: uploads and checks take their turn in between."""
_binned = photos.c.binned_at.is_not(None)


class Bin:
    """Photos that the owner has deleted and whose rows still exist.

    Args:
        days: time in the bin; 0: photos are deleted at once.
    """

    def __init__(self, engine: Engine, *, days: float) -> None:
        self._engine, self.days = engine, days

    def put(self, ids: Sequence[int], owner_id: int, now: datetime | None = None) -> int:
        """Put this owner's photos among ``ids`` into the bin, or delete them; return their number."""
        is_own = photos.c.id.in_(ids) & (photos.c.owner_id == owner_id) & not_in_bin()
        with writing(self._engine) as connection:
            if self.days == 0:
                return delete_photos(connection, is_own, now)
            return connection.execute(update(photos).where(is_own).values(binned_at=now_or(now))).rowcount

    def restore(self, ids: Sequence[int], owner_id: int) -> int:
        """Take this owner's photos among ``ids`` out of the bin; return their number."""
        is_own = photos.c.id.in_(ids) & _of(owner_id)
        with writing(self._engine) as connection:
            return connection.execute(update(photos).where(is_own).values(binned_at=None)).rowcount

    def delete(self, ids: Sequence[int], owner_id: int, now: datetime | None = None) -> int:
        """Delete this owner's photos among ``ids`` that are in the bin; return their number."""
        with writing(self._engine) as connection:
            return delete_photos(connection, photos.c.id.in_(ids) & _of(owner_id), now)

    def empty(self, owner_id: int, now: datetime | None = None) -> int:
        """Delete all photos in this owner's bin; return their number."""
        with writing(self._engine) as connection:
            return delete_photos(connection, _of(owner_id), now)

    def expire(self, now: datetime | None = None) -> int:
        """Delete the photos of all owners whose time in the bin is over; return their number."""
        due = later(photos.c.binned_at, literal(self.days * 86_400.0)) <= now_or(now)
        query = select(photos.c.id).where(_binned, due).limit(_BATCH)
        deleted = 0
        while True:
            with writing(self._engine) as connection:
                ids = list(connection.execute(query).scalars())
                # The condition is repeated because a photo may have been restored meanwhile.
                number = delete_photos(connection, photos.c.id.in_(ids) & _binned, now) if ids else 0
            deleted += number
            if len(ids) < _BATCH:
                return deleted

    def photo(self, id: int, owner_id: int) -> Photo | None:
        """Return a photo in this owner's bin."""
        with reading(self._engine) as connection:
            row = connection.execute(select(photos).where(photos.c.id == id, _of(owner_id))).one_or_none()
        return Photo(**row._mapping) if row else None

    def page(self, owner_id: int, before: Position | None, limit: int) -> list[Photo]:
        """Return a page of photos in this owner's bin, latest deleted first.

        Args:
            before: only photos before this position; its time is that of the deletion.
        """
        query = select(photos).where(_of(owner_id))
        if before is not None:
            place = tuple_(literal(before.created_at, UtcDateTime()), literal(before.id))
            query = query.where(tuple_(photos.c.binned_at, photos.c.id) < place)
        query = query.order_by(photos.c.binned_at.desc(), photos.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Photo(**row._mapping) for row in connection.execute(query)]

    def count(self, owner_id: int) -> int:
        with reading(self._engine) as connection:
            query = select(func.count()).select_from(photos).where(_of(owner_id))
            return connection.execute(query).scalar_one()


def _of(owner_id: int) -> ColumnElement[bool]:
    return (photos.c.owner_id == owner_id) & _binned
