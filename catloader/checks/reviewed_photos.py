"""Photos that people reviewed on the site, as labelled photos for calibration."""

from __future__ import annotations

from collections.abc import Mapping

from catloader.store.db.photos.photos import Photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from checker.evaluation.photos import LabelledPhoto, naming
from checker.values import Rendition

DATABASE = "database"
"""The name of these photos on a command line."""


def reviewed_photos(photos: Photos, objects: ObjectStore) -> list[LabelledPhoto]:
    """Return every reviewed photo, labelled with the person's verdict; ``read`` fetches it from the store."""
    return [
        stored_photo(photo.photo_id, photo.photo_key, photo.thumbnail_key, photo.human_verdict or "", objects)
        for photo in photos.reviewed()
    ]


def stored_photo(
    id: int, photo_key: str, thumbnail_key: str, label: str, objects: ObjectStore
) -> LabelledPhoto:
    """Return a photo of the site with this label."""
    name = photo_name(id)

    def renditions() -> Mapping[Rendition, bytes]:
        with naming(name):
            return {
                Rendition.PHOTO: objects.get(ObjectKind.PHOTO, photo_key),
                Rendition.THUMBNAIL: objects.get(ObjectKind.THUMBNAIL, thumbnail_key),
            }

    return LabelledPhoto(name, label, renditions)


def photo_name(id: int) -> str:
    """Return the name of a reviewed photo; names are in the order of the ids."""
    return f"photo-{id:012d}"
