"""Photos that staff took out of the public album. Their owners can't publish them until staff allow it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.photo_rows import is_in_album, not_in_bin
from catloader.store.db.schema import photos, takedowns
from catloader.store.db.staff.audit_log import record


@dataclass(frozen=True, slots=True)
class Takedown:
    """A photo that is kept out of the album, and why."""

    photo_id: int
    note: str
    """The reason, shown to the owner."""
    made_at: datetime


_COLUMNS = tuple(column.label(column.key) for column in takedowns.columns)


def is_taken_down() -> ColumnElement[bool]:
    """Return the condition that staff keep the photo out of the album."""
    return exists().where(takedowns.c.photo_id == photos.c.id)


class Takedowns:
    """Take photos out of the album and allow them again. Each act is recorded in its transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take_down(self, photo_id: int, actor_id: int, note: str, now: datetime) -> bool:
        """Make a photo of the album private and prevent its publication; False: it was not in the album."""
        query = update(photos).where(photos.c.id == photo_id, is_in_album()).values(on_air=False)
        row = {"photo_id": photo_id, "note": note, "made_at": now}
        try:
            with writing(self._engine) as connection:
                keep_account(connection, actor_id)
                if not connection.execute(query).rowcount:
                    return False
                connection.execute(insert(takedowns).values(row))
                record(connection, actor_id, "took out of the album", f"photo {photo_id}", now)
        except IntegrityError:  # another member of staff was first
            return False
        return True

    def lift(self, photo_id: int, actor_id: int, now: datetime) -> bool:
        """Let the owner publish the photo again; False: it was not kept out."""
        with writing(self._engine) as connection:
            keep_account(connection, actor_id)
            query = delete(takedowns).where(takedowns.c.photo_id == photo_id)
            if not connection.execute(query).rowcount:
                return False
            record(connection, actor_id, "allowed in the album again", f"photo {photo_id}", now)
        return True

    def of_photo(self, photo_id: int) -> Takedown | None:
        query = select(*_COLUMNS).where(takedowns.c.photo_id == photo_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return Takedown(**row._mapping) if row else None

    def page(self, before: int | None, limit: int) -> list[Takedown]:
        """Return a page of takedowns of photos outside the bin, by falling id: before an id, or the first."""
        query = select(*_COLUMNS).join(photos, photos.c.id == takedowns.c.photo_id).where(not_in_bin())
        if before is not None:
            query = query.where(takedowns.c.photo_id < before)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(takedowns.c.photo_id.desc()).limit(limit))
            return [Takedown(**row._mapping) for row in rows]
