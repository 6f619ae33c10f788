"""The photos and bytes that are stored for an account."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine, func, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import photos


class Used(NamedTuple):
    """Photos, those in the bin too, and the bytes of their large rendition."""

    photos: int
    size_bytes: int


class Usage:
    """Read access to what accounts use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, owner_id: int) -> Used:
        query = select(func.count(), func.coalesce(func.sum(photos.c.size_bytes), 0))
        with reading(self._engine) as connection:
            number, size_bytes = connection.execute(query.where(photos.c.owner_id == owner_id)).one()
        return Used(number, int(size_bytes))
