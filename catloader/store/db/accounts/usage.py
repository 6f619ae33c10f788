"""The photos and bytes that are stored for an account."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine, func, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import photos


class Used(NamedTuple):
    """The number of photos, including those in the bin, and the bytes of their large renditions."""

    photos: int
    size_bytes: int


class Stored(NamedTuple):
    """The same for the photos of all accounts; and for those of them that are in a bin."""

    photos: int
    size_bytes: int
    in_bin: int
    in_bin_bytes: int


class Usage:
    """Read access to the storage that accounts use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, owner_id: int) -> Used:
        query = select(func.count(), func.coalesce(func.sum(photos.c.size_bytes), 0))
        with reading(self._engine) as connection:
            number, size_bytes = connection.execute(query.where(photos.c.owner_id == owner_id)).one()
        return Used(number, int(size_bytes))

    def stored(self) -> Stored:
        """Count the photos of all accounts. Reads every row, which takes a second for a million photos."""
        in_bin = photos.c.binned_at.is_not(None)
        size = photos.c.size_bytes
        query = select(
            func.count(),
            func.coalesce(func.sum(size), 0),
            func.count().filter(in_bin),
            func.coalesce(func.sum(size).filter(in_bin), 0),
        ).select_from(photos)
        with reading(self._engine) as connection:
            return Stored(*map(int, connection.execute(query).one()))
