"""The public album: photos that their owners published and that show the subject, and their likes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.gallery import Position, beyond
from catloader.store.db.photos.photo_rows import Photo, is_in_album, not_in_bin
from catloader.store.db.schema import likes, photos
from catloader.store.db.staff.takedowns import is_taken_down


class Album:
    """Photos that everybody may see, page by page, newest first; and likes, one per person."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def older(self, than: Position | None, limit: int) -> list[Photo]:
        """Return the photos older than a position, newest first; None: from the newest photo on."""
        return self._page(than, limit, newest_first=True)

    def newer(self, than: Position, limit: int) -> list[Photo]:
        """Return the photos newer than a position, oldest first."""
        return self._page(than, limit, newest_first=False)

    def newer_ids(self, than: Position, limit: int) -> list[int]:
        """Return the ids of the photos of ``newer``. Reads only an index."""
        with reading(self._engine) as connection:
            query = _ordered(than, limit, newest_first=False).with_only_columns(photos.c.id)
            return list(connection.execute(query).scalars())

    def photo(self, id: int) -> Photo | None:
        """Return a photo; None: it is not in the album."""
        with reading(self._engine) as connection:
            row = connection.execute(select(photos).where(photos.c.id == id, is_in_album())).one_or_none()
        return Photo(**row._mapping) if row else None

    def publish(self, ids: Sequence[int], owner_id: int, *, public: bool) -> int:
        """Publish this owner's photos among ``ids``, or make them private; return the number changed.

        Photos that staff took out of the album stay private.
        """
        is_own = photos.c.id.in_(ids) & (photos.c.owner_id == owner_id) & not_in_bin()
        if public:
            is_own &= ~is_taken_down()
        query = update(photos).where(is_own, photos.c.on_air != public).values(on_air=public)
        with writing(self._engine) as connection:
            return connection.execute(query).rowcount

    def likes(self, ids: Sequence[int]) -> dict[int, int]:
        """Return the number of likes by photo id; photos without likes are left out."""
        query = (
            select(likes.c.photo_id, func.count().label("number"))
            .where(likes.c.photo_id.in_(ids))
            .group_by(likes.c.photo_id)
        )
        with reading(self._engine) as connection:
            return {row[0]: row.number for row in connection.execute(query)}

    def is_liked_by(self, photo_id: int, user_id: int) -> bool:
        query = select(likes.c.user_id).where(likes.c.photo_id == photo_id, likes.c.user_id == user_id)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def like(self, photo_id: int, user_id: int, now: datetime) -> bool:
        """Add the person's like unless there is one; False: the photo is not in the album.

        Raises:
            NotFound: the account was deleted meanwhile.
        """
        in_album = select(photos.c.id).where(photos.c.id == photo_id, is_in_album())
        in_album = in_album.with_for_update(read=True, key_share=True)
        row = {"photo_id": photo_id, "user_id": user_id, "created_at": now}
        try:
            with writing(self._engine) as connection:
                keep_account(connection, user_id)
                if connection.execute(in_album).first() is None:
                    return False
                connection.execute(insert(likes).values(row))
        except IntegrityError:  # liked already, in another tab
            pass
        return True

    def unlike(self, photo_id: int, user_id: int) -> None:
        is_own = (likes.c.photo_id == photo_id) & (likes.c.user_id == user_id)
        with writing(self._engine) as connection:
            connection.execute(delete(likes).where(is_own))

    def _page(self, start: Position | None, limit: int, *, newest_first: bool) -> list[Photo]:
        with reading(self._engine) as connection:
            rows = connection.execute(_ordered(start, limit, newest_first=newest_first))
            return [Photo(**row._mapping) for row in rows]


def _ordered(start: Position | None, limit: int, *, newest_first: bool) -> Select[Any]:
    order = [photos.c.created_at, photos.c.id]
    ordered = [column.desc() for column in order] if newest_first else order
    after = [] if start is None else [beyond(start, newest_first=newest_first)]
    return select(photos).where(is_in_album(), *after).order_by(*ordered).limit(limit)
