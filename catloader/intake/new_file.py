"""Step 2, store: the two objects of a prepared file, and the part of a row that describes them."""

from __future__ import annotations

import secrets

from catloader.intake.prepare import Prepared
from catloader.store.db.photos.photo_files import NewFile
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore


def new_key() -> str:
    """Return a new random key for an object."""
    return f"{secrets.token_hex(16)}.jpg"


def new_file(prepared: Prepared) -> NewFile:
    """Return the file's part of a row, with new keys."""
    return NewFile(
        photo_key=new_key(),
        thumbnail_key=new_key(),
        width_px=prepared.width_px,
        height_px=prepared.height_px,
        size_bytes=len(prepared.photo),
        thumbnail_px=prepared.thumbnail_px,
        crop_left_px=prepared.crop.left,
        crop_top_px=prepared.crop.top,
        crop_side_px=prepared.crop.side,
        sha256=prepared.sha256,
        thumbnail_sha256=prepared.thumbnail_sha256,
    )


def put_file(objects: ObjectStore, new: NewFile, prepared: Prepared) -> None:
    """Put both objects; their keys must be reserved in the deletion ledger first.

    Raises:
        StoreUnavailable: the object store does not answer.
    """
    objects.put(ObjectKind.PHOTO, new.photo_key, prepared.photo)
    objects.put(ObjectKind.THUMBNAIL, new.thumbnail_key, prepared.thumbnail)
