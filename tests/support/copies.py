"""Copies of a site's rows and objects, so that photos are checked once and reused by many tests."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Engine, Table, insert, select

from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import metadata, photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore


class Copy(NamedTuple):
    """All rows, and the objects of photos and thumbnails."""

    rows: list[tuple[Table, list[dict[str, Any]]]]
    """In the order in which they can be inserted."""
    objects: list[tuple[ObjectKind, str, bytes]]


def copy_of(engine: Engine, objects: ObjectStore) -> Copy:
    with reading(engine) as connection:
        rows = [
            (
                table,
                [dict(zip(table.c.keys(), row, strict=True)) for row in connection.execute(select(table))],
            )
            for table in metadata.sorted_tables
        ]
        stored = connection.execute(select(photos.c.photo_key, photos.c.thumbnail_key)).all()
    kinds = (ObjectKind.PHOTO, ObjectKind.THUMBNAIL)
    named = [(kind, key) for keys in stored for kind, key in zip(kinds, keys, strict=True)]
    return Copy(
        [(table, of_table) for table, of_table in rows if of_table],
        [(kind, key, objects.get(kind, key)) for kind, key in named],
    )


def fill_from(copy: Copy, engine: Engine, objects: ObjectStore) -> None:
    """Fill empty tables and buckets; the database must be of the same kind, for its sequences of ids."""
    with writing(engine) as connection:
        for table, rows in copy.rows:
            connection.execute(insert(table), rows)
    for kind, key, data in copy.objects:
        objects.put(kind, key, data)
