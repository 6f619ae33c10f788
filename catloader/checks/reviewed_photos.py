"""Photos that people reviewed on the site, as labelled photos for calibration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from catloader.store.db.photos.photo_rows import DecidedPhoto
from catloader.store.db.photos.photos import Photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from checker.evaluation.photos import LabelledPhoto, naming
from checker.values import Rendition


def reviewed_photos(photos: Photos, objects: ObjectStore) -> list[LabelledPhoto]:
    """Return every reviewed photo, labelled with the person's verdict; ``read`` fetches it from the store."""
    return [
        LabelledPhoto(_name(photo), photo.human_verdict or "", partial(_renditions, photo, objects))
        for photo in photos.reviewed()
    ]


def _name(photo: DecidedPhoto) -> str:
    return f"photo-{photo.photo_id:012d}"


def _renditions(photo: DecidedPhoto, objects: ObjectStore) -> Mapping[Rendition, bytes]:
    with naming(_name(photo)):
        return {
            Rendition.PHOTO: objects.get(ObjectKind.PHOTO, photo.photo_key),
            Rendition.THUMBNAIL: objects.get(ObjectKind.THUMBNAIL, photo.thumbnail_key),
        }
