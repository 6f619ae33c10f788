"""Photos that the site does not manage, in a bucket or in files: reading them makes their renditions."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError
from catloader.settings import Settings
from catloader.store.kinds import ObjectKind
from catloader.store.s3.refusals import for_checker
from catloader.wiring import build_object_store
from checker.errors import FileUnavailable, ObjectMissing, StoreUnavailable
from checker.evaluation.photos import in_utf8
from checker.folder.walk import read, walk
from checker.pixels.isolated import IsolatedDecoder
from checker.values import Claim, Rendition

_LISTING_THREADS = 16
"""A listing waits for the server nearly all the time, so more threads than cores are useful."""
_AWAY = frozenset(
    {
        errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
        errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ENODEV,
        errno.EMFILE, errno.ENFILE,
    }
)  # fmt: skip
"""Errors that every other file would get too: its network share is away, or the machine lacks descriptors."""


def bucket_and_prefix(address: str) -> tuple[str, str]:
    """Return the bucket and the prefix of ``s3://bucket/prefix``.

    Raises:
        BulkError: the address has another form.
    """
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    if not address.startswith("s3://") or not bucket:
        raise BulkError(f"{address} is not an address such as s3://bucket/prefix.")
    return bucket, prefix


def listed(settings: Settings, bucket: str, prefix: str) -> Iterator[PlannedPhoto]:
    """Yield the objects of a bucket whose keys begin with ``prefix``, numbered from 1 as they come."""
    number = 0
    for page in build_object_store(settings).pages(bucket, prefix, threads=_LISTING_THREADS):
        for entry in page:
            if not entry.key.endswith("/"):  # a folder marker, which some programs create
                number += 1
                yield PlannedPhoto(number, entry.key, "", None, None, entry.size_bytes, None, None, None)


def listed_files(folder: str) -> Iterator[PlannedPhoto]:
    """Yield the photos in and below a folder, found as by ``python -m checker``, by their absolute paths.

    Raises:
        BulkError: there is no such folder, a folder below it can't be read, or a path can't be planned.
    """
    if not Path(folder).is_dir():
        raise BulkError(f"{folder} is neither a folder nor an address such as s3://bucket/prefix.")
    for number, file in enumerate(walk([str(Path(folder).absolute())]), 1):
        if file.error is not None:
            raise BulkError(f"{in_utf8(file.path)}: {file.error}")
        if file.path != in_utf8(file.path):
            raise BulkError(f"{in_utf8(file.path)}: a plan can't hold a name that is not UTF-8.")
        yield PlannedPhoto(number, file.path, "", None, None, size_of(file.path), None, None, None)


def size_of(path: str) -> int:
    """Return the size of a file in bytes; 0 if it has vanished since it was listed, which the run reports."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


class LooseObjects:
    """Implements ``checker.ports.ImageSource``: makes both renditions of a file, as the site stores them.

    Args:
        fast: as in ``site_renditions``; False: as calibration makes them.
    """

    def __init__(
        self, settings: Settings, bucket: str, decode: IsolatedDecoder, *, fast: bool = True
    ) -> None:
        self._objects = build_object_store(settings.with_changes(s3_photos_bucket=bucket))
        self._renditions = _Renditions(partial(decode.renditions, fast=fast))

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        return self._renditions.get(claim.photo_key, rendition, self._object)

    def _object(self, key: str) -> bytes:
        with for_checker(self._objects, key, "photo"):
            return self._objects.get(ObjectKind.PHOTO, key)


class LooseFiles:
    """Like ``LooseObjects``, for files by their paths. A file that can't be read gets no verdict either.

    Args:
        folder: the folder that was planned; "" if it is not known.
    """

    def __init__(self, decode: IsolatedDecoder, folder: str, *, fast: bool) -> None:
        self._renditions = _Renditions(partial(decode.renditions, fast=fast))
        self._folder = folder

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        return self._renditions.get(claim.photo_key, rendition, self._file)

    def _file(self, path: str) -> bytes:
        try:
            return read(path)
        except FileUnavailable as error:
            number = getattr(error.__cause__, "errno", None)
            if number == errno.ENOENT:
                _require_folder(self._folder, path)
            if number in _AWAY:
                raise StoreUnavailable(f"{path}: {error}") from error
            raise ObjectMissing(str(error)) from error


def _require_folder(folder: str, path: str) -> None:
    """Refuse to continue if a file is missing because its network share is not mounted.

    Raises:
        StoreUnavailable: the planned folder is missing or empty; or, if it is not known, the folder of the
            file is missing. That one may be empty, because its last photo may have been deleted.
    """
    folder, is_planned = folder or str(Path(path).parent), bool(folder)
    try:
        with os.scandir(folder) as entries:
            if not is_planned or next(entries, None) is not None:
                return
    except PermissionError:  # it exists
        return
    except OSError:
        pass
    raise StoreUnavailable(f"The folder {folder} is missing or empty: is its network share mounted?")


class _Renditions:
    """Makes renditions, and keeps those of each thread's last photo.

    The same thread requests both renditions of a photo, one after the other.
    """

    def __init__(self, make: Callable[[bytes], dict[Rendition, bytes]]) -> None:
        self._make = make
        self._last = threading.local()

    def get(self, key: str, rendition: Rendition, read: Callable[[str], bytes]) -> bytes:
        if getattr(self._last, "key", None) != key:
            self._last.key, self._last.renditions = None, {}
            self._last.renditions = self._make(read(key))
            self._last.key = key
        renditions: dict[Rendition, bytes] = self._last.renditions
        return renditions[rendition]
