"""Changes of existing photos: replacement of the file, rotation, and another square for the thumbnail.

As in an upload, new keys are reserved in the deletion ledger before objects are put under them. The
transaction that writes the keys to the row cancels the reservation and enters the old keys.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, select, update

from catloader.errors import NotFound, StoreUnavailable
from catloader.languages import gettext_noop
from catloader.store.db.accounts.quotas import Quotas
from catloader.store.db.clock import now_or
from catloader.store.db.engine import writing
from catloader.store.db.photos.deletions import cancel, mark_due, reserve
from catloader.store.db.photos.photo_rows import UNCHECKED, Photo, not_in_bin
from catloader.store.db.photos.replacements import enter
from catloader.store.db.schema import appeals, likes, photos
from catloader.store.kinds import ObjectKind, StoredObject

_GONE = gettext_noop("This photo was deleted meanwhile.")
_TOO_LATE = "This took too long. Please try again."
_NEVER_CHECKED = UNCHECKED | {"begun_at": None}


@dataclass(frozen=True, slots=True)
class NewThumbnail:
    """The values of a row that describe the thumbnail."""

    thumbnail_key: str
    thumbnail_px: int
    thumbnail_sha256: str
    crop_left_px: int
    crop_top_px: int
    crop_side_px: int


@dataclass(frozen=True, slots=True)
class NewFile(NewThumbnail):
    """The values of a row that describe the file; sizes are those of the stored, re-encoded photo."""

    photo_key: str
    sha256: str
    width_px: int
    height_px: int
    size_bytes: int


class PhotoFiles:
    """Changes of a photo's objects."""

    def __init__(self, engine: Engine, quotas: Quotas) -> None:
        self._engine, self._quotas = engine, quotas

    def reserve(self, new: NewThumbnail, not_before: datetime | None = None) -> None:
        """Enter the new keys in the deletion ledger, like ``Photos.reserve``."""
        with writing(self._engine) as connection:
            reserve(connection, _objects(new), not_before)

    def replace(self, id: int, owner_id: int, new: NewFile, now: datetime | None = None) -> None:
        """Replace the photo's file; the photo will be checked again.

        Address, caption, publication and shared link stay. A reviewer's verdict, an open appeal and likes are
        dropped, because they are about the previous file.

        Raises:
            NotFound: this owner has no such photo (any more).
            QuotaReached: the account has no room for the new file.
            StoreUnavailable: the reservation expired, so the objects may be deleted already.
        """
        with writing(self._engine) as connection:
            self._refuse_growth(connection, id, owner_id, new)
            old = _locked(connection, id, owner_id)
            if cancel(connection, _objects(new), now):
                enter(connection, id, now)
                values = asdict(new) | _NEVER_CHECKED | {"next_attempt_at": now_or(now)}
                values |= {"human_verdict": None, "human_verdict_at": None}
                values |= {"captured_at": None}  # the owner chose to keep it for the previous file
                values |= {"explanation_key": None, "explanation_of": None}
                _exchange(connection, old, values, now)
                is_open = (appeals.c.photo_id == id) & appeals.c.closed_at.is_(None)
                connection.execute(update(appeals).where(is_open).values(closed_at=now_or(now)))
                connection.execute(delete(likes).where(likes.c.photo_id == id))
                return
        raise StoreUnavailable(_TOO_LATE)

    def alter(
        self, id: int, owner_id: int, photo_key: str, new: NewThumbnail, now: datetime | None = None
    ) -> bool:
        """Give the photo another thumbnail, or (``NewFile``) the same photo rotated.

        Since verdicts depend on both, the photo is checked again.

        Args:
            photo_key: key of the file that was cut or rotated.
        Returns:
            True if the photo will be checked; False: a person's verdict stays.
        Raises:
            NotFound: this owner has no such photo with that file (any more).
            QuotaReached: as for ``replace``.
            StoreUnavailable: the reservation expired, so the objects may be deleted already.
        """
        with writing(self._engine) as connection:
            if isinstance(new, NewFile):
                self._refuse_growth(connection, id, owner_id, new)
            old = _locked(connection, id, owner_id)
            if old.photo_key != photo_key:
                raise NotFound("This photo was replaced in the meantime.")
            values = asdict(new)
            if isinstance(new, NewFile):
                values |= {"explanation_key": None, "explanation_of": None}
            by_model = old.human_verdict is None
            if by_model:
                values |= _NEVER_CHECKED | {"next_attempt_at": now_or(now)}
            if cancel(connection, _objects(new), now):
                _exchange(connection, old, values, now)
                return by_model
        raise StoreUnavailable(_TOO_LATE)

    def _refuse_growth(self, connection: Connection, id: int, owner_id: int, new: NewFile) -> None:
        # The account's row is locked first, as in uploads and in the deletion of an account.
        size_bytes = connection.execute(_own(id, owner_id, photos.c.size_bytes)).scalar()
        if size_bytes is not None:
            self._quotas.refuse_growth(connection, owner_id, new.size_bytes - size_bytes)


def _own(id: int, owner_id: int, *columns: Any) -> Any:
    return select(*columns).where(photos.c.id == id, photos.c.owner_id == owner_id, not_in_bin())


def _locked(connection: Connection, id: int, owner_id: int) -> Photo:
    row = connection.execute(_own(id, owner_id, photos).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(_GONE)
    return Photo(**row._mapping)


def _exchange(connection: Connection, old: Photo, values: dict[str, Any], now: datetime | None) -> None:
    """Write the row's new values and keys, and enter the old keys into the ledger."""
    present_keys = {
        values.get(name, getattr(old, name)) for name in ("photo_key", "thumbnail_key", "explanation_key")
    }
    old_objects = (
        StoredObject(ObjectKind.PHOTO, old.photo_key),
        StoredObject(ObjectKind.THUMBNAIL, old.thumbnail_key),
        StoredObject(ObjectKind.EXPLANATION, old.explanation_key or ""),
    )
    unused = [stored for stored in old_objects if stored.key and stored.key not in present_keys]
    mark_due(connection, unused, now)
    connection.execute(update(photos).where(photos.c.id == old.id).values(values))


def _objects(new: NewThumbnail) -> list[StoredObject]:
    thumbnail = StoredObject(ObjectKind.THUMBNAIL, new.thumbnail_key)
    return (
        [StoredObject(ObjectKind.PHOTO, new.photo_key), thumbnail]
        if isinstance(new, NewFile)
        else [thumbnail]
    )
