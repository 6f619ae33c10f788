"""Step 1, upload: prepare each photo, store it (step 2), record it (step 3), wake the checker (step 4)."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import BinaryIO

from catloader.checks.dispatch import Dispatcher
from catloader.errors import CatLoaderError, StoreFull, StoreUnavailable, TooManyFiles
from catloader.intake.new_file import new_file, put_file
from catloader.intake.prepare import Limits, Prepared
from catloader.languages import gettext_noop, ngettext_noop
from catloader.settings import Settings
from catloader.store.db.photos.photo_rows import NewPhoto
from catloader.store.db.photos.photos import Photos
from catloader.store.db.photos.upload_keys import UploadKey
from catloader.store.s3.objects import ObjectStore
from catloader.texts import clean_text
from checker.files import read_at_most
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

Preparer = Callable[[bytes, int], Prepared]
"""Prepares the file of an owner; raises leaves of ``CatLoaderError``. See ``isolated.IsolatedPreparer``."""

_LOG_LIMITS = LogLimits()
_TOO_MANY = ngettext_noop(
    "You can upload %(num)d photo at a time.", "You can upload up to %(num)d photos at a time."
)
_STORE_AWAY = gettext_noop(
    "The photo store does not answer, so this photo was not stored. Try again in a moment."
)
_DISK_FULL = gettext_noop("The disk of this site is nearly full; it can store nothing more at the moment.")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that is stored."""

    name: str
    """The client's name for the file, unchanged. Use it only for display, and escape it."""
    photo_id: int
    duplicate_of: int | None = None
    """An earlier photo of the same owner with the same stored bytes, which the same file always gives."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is not stored."""

    name: str
    error: str
    """One plain sentence."""
    status: int
    """HTTP status of the error."""
    retry_after_s: int | None = None
    """As in ``CatLoaderError``."""
    kind: str = field(default="", compare=False)
    """Name of the error's class."""
    reason: CatLoaderError | None = field(default=None, compare=False)
    """The error, for its translatable sentence."""


def upload(
    files: Iterable[tuple[str, BinaryIO | bytes]],
    captions: Sequence[str],
    owner_id: int,
    *,
    settings: Settings,
    prepare: Preparer,
    photos: Photos,
    objects: ObjectStore,
    dispatcher: Dispatcher,
    keys: Sequence[UploadKey] = (),
    keep_dates: bool = False,
) -> list[Uploaded | Refused]:
    """Store the files that can be stored; return one outcome per file, in order, instead of raising errors.

    Args:
        files: name and content of each; at most ``max_file_bytes`` + 1 bytes of a stream are read.
        captions: in the order of the files; missing captions are empty.
        keys: idempotency keys, in the order of the files; may be fewer than files.
        keep_dates: store the capture dates that the files contain.
    """
    outcomes: list[Uploaded | Refused] = []
    store_away = False
    try:
        for index, (name, content) in enumerate(files):
            try:
                if index >= settings.max_files:
                    raise TooManyFiles(_TOO_MANY, num=settings.max_files)
                # The store's client has tried three times, and should not do so for each further file.
                if store_away:
                    raise StoreUnavailable(_STORE_AWAY)
                refuse_full_disk(settings)
                caption = clean_text(captions[index] if index < len(captions) else "", "caption")
                data = (
                    content
                    if isinstance(content, bytes)
                    else read_at_most(content, settings.max_file_bytes + 1)
                )
                prepared = prepare(data, owner_id)
                del data  # free megabytes before waiting for the store
                key = keys[index] if index < len(keys) else None
                if not keep_dates:
                    prepared = replace(prepared, captured_at=None)
                photo_id = _store(prepared, caption, owner_id, key, photos=photos, objects=objects)
                duplicate_of = _earlier(photo_id, owner_id, prepared.sha256, photos)
            except StoreUnavailable as error:
                if not store_away and (suffix := _LOG_LIMITS.suffix(error.cause)) is not None:
                    logger.warning("Uploads are refused: %s%s", error, suffix)
                store_away = True
                outcomes.append(_refused(name, StoreUnavailable(_STORE_AWAY)))
            except CatLoaderError as error:
                outcomes.append(_refused(name, error))
            else:
                outcomes.append(Uploaded(name, photo_id, duplicate_of))
    finally:
        if any(isinstance(outcome, Uploaded) for outcome in outcomes):
            dispatcher.wake()
    return outcomes


def _refused(name: str, error: CatLoaderError) -> Refused:
    # Without the traceback, whose frames would keep the file until the next full garbage collection.
    error.__cause__ = error.__context__ = None
    error = error.with_traceback(None)
    return Refused(name, str(error), error.status, error.retry_after_s, type(error).__name__, error)


def limits(settings: Settings) -> Limits:
    return Limits(
        max_bytes=settings.max_file_bytes,
        max_pixels=settings.max_pixels,
        max_edge_px=settings.max_edge_px,
        thumbnail_px=settings.thumbnail_px,
        jpeg_quality=settings.jpeg_quality,
        large_at_once=max(1, settings.decode_slots // 2),
        large_wait_s=settings.decode_wall_s / 2,  # the other half is for decoding
    )


def _store(
    prepared: Prepared,
    caption: str,
    owner_id: int,
    key: UploadKey | None,
    *,
    photos: Photos,
    objects: ObjectStore,
) -> int:
    """Reserve the keys, put the objects, add the row: a process killed in between leaves due deletions."""
    file = new_file(prepared)
    new = NewPhoto(owner_id=owner_id, caption=caption, captured_at=prepared.captured_at, **asdict(file))
    photos.reserve(new)
    put_file(objects, file, prepared)
    return photos.add(new, key=key)


def _earlier(photo_id: int, owner_id: int, sha256: str, photos: Photos) -> int | None:
    """Return an earlier photo with the same bytes; None if there is none or the database does not answer.

    Called after the commit: of two copies that are sent at the same time, the second finds the first.
    """
    with suppress(StoreUnavailable):  # the photo is stored, even if this query fails
        first = photos.same(owner_id, sha256)
        return None if first == photo_id else first
    return None


def refuse_full_disk(settings: Settings) -> None:
    """Refuse an upload if the disk of the data folder is nearly full.

    Raises:
        StoreFull: less than ``CATLOADER_MIN_FREE_BYTES`` are free.
    """
    if settings.data_dir.exists() and shutil.disk_usage(settings.data_dir).free < settings.min_free_bytes:
        raise StoreFull(_DISK_FULL)
