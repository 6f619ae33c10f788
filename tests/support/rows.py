"""Rows for tests: users and photos without objects."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from catloader.store.db.accounts.users import User, Users
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.bin import Bin
from catloader.store.db.photos.photo_rows import NewPhoto
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import appeals, metadata, photos

_TABLES = [table.name for table in reversed(metadata.sorted_tables)]
_WITH_ROWS = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in _TABLES)


def empty_tables(engine: Engine) -> None:
    """Delete all rows. Empty tables are skipped, which takes a third of the time."""
    with writing(engine) as connection:
        with_rows = set(connection.exec_driver_sql(_WITH_ROWS).scalars())
        for name in _TABLES:
            if name in with_rows:
                connection.exec_driver_sql(f"DELETE FROM {name}")


def due_now() -> datetime:
    """Return the time rounded down to milliseconds, SQLite's resolution, so that it is due at once."""
    now = utcnow()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def some_user(engine: Engine) -> User:
    return Users(engine).create(f"{secrets.token_hex(6)}@example.org", "hash", utcnow())


def new_photo(owner_id: int, caption: str = "") -> NewPhoto:
    return NewPhoto(
        owner_id=owner_id,
        caption=caption,
        photo_key=secrets.token_hex(16),
        thumbnail_key=secrets.token_hex(16),
        width_px=640,
        height_px=480,
        size_bytes=90_000,
        thumbnail_px=320,
        crop_left_px=80,
        crop_top_px=0,
        crop_side_px=480,
        sha256=64 * "a",
        thumbnail_sha256=64 * "b",
    )


def add_photo(engine: Engine, owner_id: int, now: datetime | None = None) -> int:
    """Add a photo like an upload does, with a reservation; its check is due at ``now``."""
    photos, new, now = Photos(engine), new_photo(owner_id), now or due_now()
    photos.reserve(new, now + timedelta(hours=1))
    return photos.add(new, now)


def add_photos(engine: Engine, count: int, now: datetime | None = None, **columns: Any) -> list[int]:
    """Add photos of a new user in one statement; ``columns`` override the defaults."""
    owner, now = some_user(engine), now or due_now()
    rows = [
        {**asdict(new_photo(owner.id)), "next_attempt_at": now, "created_at": now, **columns}
        for _ in range(count)
    ]
    with writing(engine) as connection:
        query = insert(photos).returning(photos.c.id, sort_by_parameter_order=True)
        return list(connection.execute(query, rows).scalars())


def add_appeals(engine: Engine, photo_ids: Sequence[int], closed_at: datetime | None = None) -> None:
    """Add an appeal for each photo; it is open if ``closed_at`` is None."""
    appeal = {"wish": "cat", "reason": "", "opened_at": utcnow(), "closed_at": closed_at}
    with writing(engine) as connection:
        connection.execute(insert(appeals), [{**appeal, "photo_id": id} for id in photo_ids])


def delete_photo(engine: Engine, id: int, owner_id: int, now: datetime | None = None) -> bool:
    """Delete a photo immediately, like a site without a bin; return False if the owner has no such photo."""
    return Bin(engine, days=0).put([id], owner_id, now) == 1
