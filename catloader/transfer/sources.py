"""The files of an import: files in and below a folder, or objects below a prefix of an S3 bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from catloader.errors import CatLoaderError, NotFound, StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.refusals import refuses_one
from checker.errors import UnreadableImage
from checker.folder.walk import EXTENSIONS, WalkedFile, read, walk


class SourceError(CatLoaderError):
    """A file, a folder or a bucket can't be read."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that may be a photo."""

    name: str
    version: str
    """Text that changes with the file: size and time, or only time."""
    read: Callable[[], bytes]
    """Returns the bytes, of too large a file slightly more than the limit; raises ``SourceError``."""


class Source(Protocol):
    """The origin of the files."""

    def files(self, on_skip: Callable[[str], object]) -> Iterator[SourceFile]:
        """Yield the files in the order of their names.

        Args:
            on_skip: called with each name that does not have the extension of a photo.

        Raises:
            SourceError: the folder does not exist.
            StoreUnavailable: the bucket does not exist, or the object store does not answer.
        """
        ...


class FolderSource:
    """A folder and all folders below it, except hidden folders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, on_skip: Callable[[str], object]) -> Iterator[SourceFile]:
        if self._folder.is_file():
            raise SourceError(f"{self._folder} is a file; name the folder that contains it.")
        if not self._folder.is_dir():
            raise SourceError(f"There is no folder {self._folder}.")
        for file in walk([str(self._folder)], on_skip):
            yield _source_file(file)


def _source_file(file: WalkedFile) -> SourceFile:
    """Return the file; if its size and time can't be read, ``read`` raises, so only this file is refused."""
    reason = file.error
    if reason is None:
        try:
            facts = Path(file.path).stat()
        except OSError as error:  # for example a broken link
            reason = f"It can't be read: {error.strerror}."
        else:
            version = f"{facts.st_size}-{facts.st_mtime_ns}"
            return SourceFile(file.path, version, partial(_read, file.path))
    return SourceFile(file.path, "", partial(_refuse, reason))


def _refuse(reason: str) -> bytes:
    raise SourceError(reason)


def _read(path: str) -> bytes:
    try:
        return read(path)
    except UnreadableImage as error:
        raise SourceError(str(error)) from error


class BucketSource:
    """Objects of a bucket whose keys begin with a prefix.

    Args:
        store: a store whose bucket of photos is this bucket.
    """

    def __init__(self, store: ObjectStore, prefix: str, max_bytes: int) -> None:
        self._store, self._prefix, self._max_bytes = store, prefix, max_bytes

    def files(self, on_skip: Callable[[str], object]) -> Iterator[SourceFile]:
        for page in self._store.pages(self._store.photos_bucket, self._prefix):
            for key, modified_at, _ in page:
                if PurePosixPath(key).suffix.lower() in EXTENSIONS:
                    yield SourceFile(key, modified_at.isoformat(), partial(self._read, key))
                else:
                    on_skip(key)

    def _read(self, key: str) -> bytes:
        data = bytearray()
        try:
            chunks, _ = self._store.open(ObjectKind.PHOTO, key)
            with closing(chunks):
                for chunk in chunks:
                    data += chunk
                    if len(data) > self._max_bytes:
                        break
        except NotFound as error:
            raise SourceError("The object is gone.") from error
        except StoreUnavailable as error:
            if refuses_one(self._store, key, error):
                raise SourceError(str(error)) from error
            raise
        return bytes(data[: self._max_bytes + 1])
