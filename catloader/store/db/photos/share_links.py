"""Links that show one photo to anyone who has them, until the owner revokes them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Engine, delete, exists, insert, select

from catloader.store.db.accounts.sessions import new_token
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.photo_rows import Photo, not_in_bin
from catloader.store.db.schema import photos, share_links


class ShareLinks:
    """Shared links, at most one per photo. Only the digest of a link's token is stored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def make(self, photo_id: int, owner_id: int, now: datetime) -> str | None:
        """Return the token (256 bits) of a new link, which replaces the photo's previous link.

        Returns:
            None: this owner has no such photo.
        """
        token = new_token()
        photo = select(photos.c.id).where(_own(photo_id, owner_id)).with_for_update()
        row = {"photo_id": photo_id, "token_sha256": token_digest(token), "created_at": now}
        with writing(self._engine) as connection:
            if connection.execute(photo).first() is None:
                return None
            connection.execute(delete(share_links).where(share_links.c.photo_id == photo_id))
            connection.execute(insert(share_links).values(row))
        return token

    def revoke(self, photo_id: int, owner_id: int) -> bool:
        """End the link of a photo; False: this owner has no such photo with a link."""
        is_own = exists().where(_own(photo_id, owner_id))
        with writing(self._engine) as connection:
            result = connection.execute(delete(share_links).where(share_links.c.photo_id == photo_id, is_own))
        return result.rowcount == 1

    def made_at(self, photo_id: int) -> datetime | None:
        """Return the time at which the photo's link was made; None: it has none."""
        query = select(share_links.c.created_at).where(share_links.c.photo_id == photo_id)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none()

    def photo(self, token: str) -> Photo | None:
        """Return the photo that a link shows; None: the token is unknown or revoked."""
        query = select(photos).join(share_links, share_links.c.photo_id == photos.c.id)
        query = query.where(share_links.c.token_sha256 == token_digest(token), not_in_bin())
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return Photo(**row._mapping) if row else None


def _own(photo_id: int, owner_id: int) -> ColumnElement[bool]:
    return (photos.c.id == photo_id) & (photos.c.owner_id == owner_id) & not_in_bin()
