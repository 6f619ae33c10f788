"""Steps 1 to 4 for an existing photo: replace its file, rotate it, or cut another square from it."""

from __future__ import annotations

from typing import BinaryIO

from catloader.checks.dispatch import Dispatcher
from catloader.errors import InvalidInput
from catloader.intake.isolated import IsolatedPreparer
from catloader.intake.new_file import new_file, new_key, put_file
from catloader.intake.upload import refuse_full_disk
from catloader.settings import Settings
from catloader.store.db.photos.photo_files import NewThumbnail, PhotoFiles
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.unaltered import get_unaltered
from checker.files import read_at_most
from checker.pixels.renditions import Crop

MIN_SIDE_PX = 64
"""Smallest square that may be cut from a larger photo. Models need 224 px and more; from far fewer pixels
they recognise hardly anything."""


def replace(
    photo: Photo,
    content: BinaryIO,
    *,
    settings: Settings,
    prepare: IsolatedPreparer,
    files: PhotoFiles,
    objects: ObjectStore,
    dispatcher: Dispatcher,
) -> None:
    """Replace the photo's file; the photo is checked again.

    Args:
        content: at most ``max_file_bytes`` + 1 bytes are read.

    Raises:
        CatLoaderError: as for an upload, or the photo no longer exists. The photo is unchanged.
    """
    refuse_full_disk(settings)
    prepared = prepare(read_at_most(content, settings.max_file_bytes + 1), photo.owner_id)
    new = new_file(prepared)
    files.reserve(new)
    put_file(objects, new, prepared)
    files.replace(photo.id, photo.owner_id, new)
    dispatcher.wake()


def rotate(
    photo: Photo,
    quarters: int,
    *,
    settings: Settings,
    prepare: IsolatedPreparer,
    files: PhotoFiles,
    objects: ObjectStore,
    dispatcher: Dispatcher,
) -> bool:
    """Rotate the photo clockwise by ``quarters`` times 90 degrees; return True if it is checked again.

    Raises:
        CatLoaderError: the photo no longer exists, a store does not answer, or the decoders are busy.
    """
    refuse_full_disk(settings)
    data = get_unaltered(objects, ObjectKind.PHOTO, photo.photo_key, photo.sha256)
    square = Crop(photo.crop_left_px, photo.crop_top_px, photo.crop_side_px)
    prepared = prepare.rotated(data, quarters, square, photo.owner_id)
    new = new_file(prepared)
    files.reserve(new)
    put_file(objects, new, prepared)
    is_checked_again = files.alter(photo.id, photo.owner_id, photo.photo_key, new)
    dispatcher.wake()
    return is_checked_again


def cut(
    photo: Photo,
    square: Crop,
    *,
    settings: Settings,
    prepare: IsolatedPreparer,
    files: PhotoFiles,
    objects: ObjectStore,
    dispatcher: Dispatcher,
) -> bool:
    """Cut the photo's thumbnail from another square; return True if the photo is checked again.

    Raises:
        InvalidInput: the square is not within the photo, or too small.
        CatLoaderError: the photo no longer exists, a store does not answer, or the decoders are busy.
    """
    _refuse_square(photo, square)
    refuse_full_disk(settings)
    data = get_unaltered(objects, ObjectKind.PHOTO, photo.photo_key, photo.sha256)
    thumbnail = prepare.thumbnail(data, square, photo.owner_id)
    new = NewThumbnail(
        thumbnail_key=new_key(),
        thumbnail_px=thumbnail.side_px,
        thumbnail_sha256=thumbnail.sha256,
        crop_left_px=square.left,
        crop_top_px=square.top,
        crop_side_px=square.side,
    )
    files.reserve(new)
    objects.put(ObjectKind.THUMBNAIL, new.thumbnail_key, thumbnail.data)
    is_checked_again = files.alter(photo.id, photo.owner_id, photo.photo_key, new)
    dispatcher.wake()
    return is_checked_again


def min_side_px(photo: Photo) -> int:
    """Return the side of the smallest square that may be cut."""
    return min(MIN_SIDE_PX, photo.width_px, photo.height_px)


def _refuse_square(photo: Photo, square: Crop) -> None:
    inside = (
        0 <= square.left <= photo.width_px - square.side and 0 <= square.top <= photo.height_px - square.side
    )
    if not inside:
        raise InvalidInput("The square must lie within the photo. Nothing was changed.")
    if square.side < min_side_px(photo):
        raise InvalidInput(
            "The square must be at least %(number)d px wide. Nothing was changed.", number=min_side_px(photo)
        )
