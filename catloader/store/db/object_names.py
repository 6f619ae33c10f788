"""Compare the object keys in the database with the objects in the object store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Column, Connection, Engine, select, union_all

from catloader.store.db.engine import reading, writing
from catloader.store.db.paging import pages
from catloader.store.db.photos.deletions import mark_due
from catloader.store.db.schema import deletions, photos
from catloader.store.kinds import ObjectKind, StoredObject


class NamedObjects(NamedTuple):
    """The objects of a photo, without its explanation, which can be made again."""

    photo_id: int
    objects: tuple[StoredObject, StoredObject]


class ObjectNames:
    """All object keys in the database: those in photos' rows, and those in the deletion ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_photos(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that belong to photos or their thumbnails. Reads only indexes."""
        with reading(self._engine) as connection:
            return _named_by(connection, keys, photos.c.photo_key, photos.c.thumbnail_key)

    def unknown(self, keys: Sequence[str]) -> set[str]:
        """Return the keys that no row has. Reads every photo once, for the key of its explanation."""
        with reading(self._engine) as connection:
            return _unknown(connection, keys)

    def enter(self, objects: Sequence[StoredObject]) -> int:
        """Enter the objects that no row names into the deletion ledger, due at once; return their number."""
        with writing(self._engine) as connection:
            unknown = _unknown(connection, [key for _, key in objects])
            orphans = [stored for stored in objects if stored.key in unknown]
            mark_due(connection, orphans)
        return len(orphans)

    def named(self) -> Iterator[list[NamedObjects]]:
        """Yield pages of photos with their objects, by rising id."""
        query = select(photos.c.id, photos.c.photo_key, photos.c.thumbnail_key)
        for rows in pages(self._engine, query, photos.c.id):
            yield [
                NamedObjects(
                    row.id,
                    (
                        StoredObject(ObjectKind.PHOTO, row.photo_key),
                        StoredObject(ObjectKind.THUMBNAIL, row.thumbnail_key),
                    ),
                )
                for row in rows
            ]

    def newest(self, limit: int) -> list[StoredObject]:
        """Return the photos that were added last, without their thumbnails."""
        query = select(photos.c.photo_key).order_by(photos.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [StoredObject(ObjectKind.PHOTO, key) for key in connection.execute(query).scalars()]

    def still_named(self, id: int, keys: Collection[str]) -> bool:
        """Return True if the photo still exists, and ``keys`` still contain the keys of its two objects."""
        has_keys = photos.c.photo_key.in_(keys) & photos.c.thumbnail_key.in_(keys)
        with reading(self._engine) as connection:
            row = connection.execute(select(photos.c.id).where(photos.c.id == id, has_keys)).one_or_none()
        return row is not None


def _unknown(connection: Connection, keys: Sequence[str]) -> set[str]:
    # One statement, because between two of them a deletion may move a key from its row to the ledger.
    columns = (photos.c.photo_key, photos.c.thumbnail_key, photos.c.explanation_key, deletions.c.key)
    return set(keys) - _named_by(connection, keys, *columns)


def _named_by(connection: Connection, keys: Sequence[str], *columns: Column[str]) -> set[str]:
    query = union_all(*(select(column).where(column.in_(keys)) for column in columns))
    return set(connection.execute(query).scalars())
