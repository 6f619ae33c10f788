"""Rows of the table of photos: their types, conditions that many queries share, and their deletion."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, literal_column

from catloader.store.db.photos.deletions import mark_due
from catloader.store.db.schema import Status, photos
from catloader.store.kinds import ObjectKind, StoredObject


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """The values of a row that an upload sets; sizes are those of the stored, re-encoded photo."""

    owner_id: int
    caption: str
    photo_key: str
    thumbnail_key: str
    width_px: int
    height_px: int
    size_bytes: int
    thumbnail_px: int
    crop_left_px: int
    crop_top_px: int
    crop_side_px: int
    sha256: str
    thumbnail_sha256: str
    captured_at: str | None = field(default=None, kw_only=True)
    """The camera's local time, such as "2024-05-01T14:07:00"; None unless the owner chose to keep it."""


@dataclass(frozen=True, slots=True)
class Photo(NewPhoto):
    """A whole row."""

    id: int
    caption_folded: str
    status: str
    score: float | None
    wild_feline: bool
    calibrated: bool
    check_error: str | None
    claim_token: str | None
    lease_until: datetime | None
    begun_at: datetime | None
    attempts: int
    next_attempt_at: datetime
    checked_at: datetime | None
    human_verdict: str | None
    human_verdict_at: datetime | None
    on_air: bool
    created_at: datetime
    explanation_key: str | None
    explanation_of: str | None
    binned_at: datetime | None

    @property
    def in_album(self) -> bool:
        """True if everybody may see the photo: its owner published it, and it shows the subject."""
        return self.on_air and self.status == Status.CAT and self.binned_at is None


@dataclass(frozen=True, slots=True)
class DecidedPhoto:
    """A photo with a verdict of a model or of a person."""

    photo_id: int
    photo_key: str
    thumbnail_key: str
    photo_sha256: str | None
    thumbnail_sha256: str | None
    human_verdict: str | None


DECIDED = (
    photos.c.id,
    photos.c.photo_key,
    photos.c.thumbnail_key,
    photos.c.sha256,
    photos.c.thumbnail_sha256,
    photos.c.human_verdict,
)
"""The columns of a row for ``decided_photo``."""


def decided_photo(row: Any) -> DecidedPhoto:
    return DecidedPhoto(*row)


OBJECT_COLUMNS = {
    ObjectKind.PHOTO: photos.c.photo_key,
    ObjectKind.THUMBNAIL: photos.c.thumbnail_key,
    ObjectKind.EXPLANATION: photos.c.explanation_key,
}
"""The columns with the keys of a photo's objects."""

UNCHECKED: dict[str, Any] = {
    "status": Status.PENDING,
    "attempts": 0,
    "claim_token": None,
    "lease_until": None,
    "check_error": None,
    "score": None,
    "wild_feline": False,
    "calibrated": False,
    "checked_at": None,
}
"""Values of a photo whose verdict is dropped; the caller also sets ``next_attempt_at``.

``begun_at`` stays: it distinguishes the photo from a new photo, which is due at once (see ``future_times``).
"""


def delete_photos(
    connection: Connection,
    condition: ColumnElement[bool],
    now: datetime | None = None,
    receipt: str | None = None,
) -> int:
    """Delete rows and mark their objects as due for deletion; return the number of photos.

    Args:
        receipt: as in ``mark_due``.
    """
    rows = connection.execute(delete(photos).where(condition).returning(*OBJECT_COLUMNS.values())).all()
    objects = [
        StoredObject(kind, key)
        for keys in rows
        for kind, key in zip(OBJECT_COLUMNS, keys, strict=True)
        if key is not None
    ]
    mark_due(connection, objects, now, receipt)
    return len(rows)


def not_in_bin() -> ColumnElement[bool]:
    """Return the condition that the owner has not deleted the photo."""
    return photos.c.binned_at.is_(None)


def is_in_album() -> ColumnElement[bool]:
    """Return the condition of ``Photo.in_album``, in the form that the album's index requires."""
    return photos.c.on_air & status_is(Status.CAT) & not_in_bin()


def has_verdict() -> ColumnElement[bool]:
    """Return the condition that a model or a person has decided, and the owner has not deleted the photo."""
    return photos.c.status.in_((Status.CAT, Status.UNSURE, Status.NOT_CAT)) & not_in_bin()


def status_is(status: str) -> ColumnElement[bool]:
    """Compare with a literal, because a generic plan for parameters can't use the partial indexes."""
    return photos.c.status == literal_column(f"'{Status(status)}'")
