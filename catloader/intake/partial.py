"""Partial uploads: files that arrive in pieces are kept in the data folder until they are complete or expire.

Each is one file, ``OWNER/ID``: a line of JSON, then the received bytes. The complete length is part of the
id, so the limits are checked by file names alone. Several processes share the folder; each locks a file while
it uses the file.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from catloader.errors import NotFound, UploadLocked, UploadsBusy
from catloader.intake.partial_file import (
    NOT_THERE,
    Damaged,
    FileFacts,
    OpenUpload,
    is_id,
    length_of,
    read_facts,
)
from catloader.languages import gettext_noop

_LEAST_BYTES = 64 * 1024
"""Each file counts as at least this size, so that an owner can't fill the folder with tiny files."""
_SILENT_S = 60.0
"""After this time without a byte, a file may be deleted to make room for others; its client starts again."""
_FULL = gettext_noop("Too many uploads are unfinished at the moment. Please try again in a few seconds.")


class PartialUploads:
    """The partial uploads of all owners.

    Args:
        folder: made when the first upload begins.
        max_bytes: limit on the sum of all complete lengths; inactive uploads are deleted to make room for
            new uploads.
        owner_bytes: the same for one owner; a single upload is always accepted.
        kept_s: time after the last received byte until an upload expires.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        owner_bytes: int,
        kept_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._max_bytes, self._owner_bytes = folder, max_bytes, owner_bytes
        self.kept_s, self._now = kept_s, now

    def create(self, owner_id: int, id: str, facts: FileFacts) -> None:
        """Begin an upload, unless it exists already.

        Raises:
            UploadsBusy: there is no room, even after inactive uploads were deleted.
        """
        folder, length_bytes = self._folder / str(owner_id), length_of(id)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._counting():
            if _is_readable(folder / id):
                return
            folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(folder, length_bytes)
            # The file gets its name only when its first line is complete: others may read it at once.
            new = folder / "new"
            new.write_text(json.dumps(asdict(facts)) + "\n")
            new.rename(folder / id)

    @contextmanager
    def opened(self, owner_id: int, id: str) -> Iterator[OpenUpload]:
        """Yield an upload, locked.

        Raises:
            NotFound: the owner has no upload with this id: it expired, is finished, or is another owner's.
            UploadLocked: another request is using it.
        """
        length_of(id)
        path = self._folder / str(owner_id) / id
        try:
            file = path.open("r+b")
        except FileNotFoundError:
            raise NotFound(NOT_THERE) from None
        with file:
            if not _try_lock(file):
                raise UploadLocked("Another request is working on this upload.")
            if not is_at(path, file):  # removed before it was locked, and perhaps created again
                raise NotFound(NOT_THERE)
            try:
                upload = OpenUpload(id, path, file)
            except Damaged:
                path.unlink()
                raise NotFound(NOT_THERE) from None
            yield upload

    def expire(self, with_access: Callable[[Sequence[int]], Collection[int]] = tuple) -> int:
        """Delete uploads that were inactive for too long, and uploads that no client can continue.

        Args:
            with_access: returns the ids, out of the given account ids, for which a client may upload. Other
                accounts were deleted or disabled, or are logged out everywhere.

        Returns:
            The number of deleted uploads.
        """
        expired = self._delete(lambda path: self._silent_s(path) > self.kept_s)
        folders = {folder.name: folder for folder in self._folder.glob("*/") if folder.name.isdecimal()}
        # `with_access` is called after both listings, because a log-in comes before its uploads.
        files = set(self._files()) if folders else set()
        gone = folders.keys() - map(str, with_access([int(name) for name in folders])) if folders else set()
        if gone:
            expired += self._delete(lambda path: path in files and path.parent.name in gone)
            with self._counting():
                for name in gone:
                    with suppress(
                        OSError
                    ):  # an upload in the folder is in progress; the next call removes it
                        folders[name].rmdir()
        return expired

    def delete_all(self, owner_id: int) -> None:
        """Delete the uploads of an owner."""
        self._delete(lambda path: path.parent.name == str(owner_id))

    def _delete(self, matches: Callable[[Path], bool]) -> int:
        if not self._folder.exists():
            return 0
        with self._counting():
            return sum(matches(path) and _unlink(path) for path in self._files())

    def _files(self) -> list[Path]:
        return [path for path in self._folder.glob("*/*") if is_id(path.name)]

    def _make_room(self, folder: Path, length_bytes: int) -> None:
        """Enforce both limits; the caller holds the lock of ``_counting``."""
        files = self._files()
        of_owner = sorted((path for path in files if path.parent == folder), key=self._silent_s, reverse=True)
        new_bytes = max(length_bytes, _LEAST_BYTES)
        while of_owner and _sum(of_owner) + new_bytes > self._owner_bytes:
            longest_silent = of_owner.pop(0)
            if self._silent_s(longest_silent) < _SILENT_S or not _unlink(longest_silent):
                raise UploadsBusy(_FULL)
            files.remove(longest_silent)
        if files and _sum(files) + new_bytes > self._max_bytes:
            self._make_room_for_all(files, new_bytes)

    def _make_room_for_all(self, files: list[Path], new_bytes: int) -> None:
        """Delete inactive files of any owner, beginning with the fewest received bytes."""
        silent = [path for path in files if self._silent_s(path) > _SILENT_S]
        silent.sort(key=lambda path: path.stat().st_size if path.exists() else 0, reverse=True)
        missing_bytes = _sum(files) + new_bytes - self._max_bytes
        while missing_bytes > 0:
            if not silent:
                raise UploadsBusy(_FULL)
            path = silent.pop()
            if _unlink(path):
                missing_bytes -= _sum([path])

    def _silent_s(self, path: Path) -> float:
        try:
            # `abs`: a file with a time in the future, from a wrong clock, would never expire.
            return abs(self._now() - path.stat().st_mtime)
        except FileNotFoundError:  # finished meanwhile
            return 0.0

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Let one process or thread at a time check the limits and add a file."""
        with (self._folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _sum(files: list[Path]) -> int:
    return sum(max(length_of(path.name), _LEAST_BYTES) for path in files)


def _is_readable(path: Path) -> bool:
    """Return True if there is an upload that is not damaged; a damaged upload is replaced."""
    try:
        with path.open("rb") as file:
            read_facts(file)
    except (FileNotFoundError, Damaged):
        return False
    return True


def is_at(path: Path, file: BinaryIO) -> bool:
    """Return True if the path still leads to the open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlink(path: Path) -> bool:
    """Delete a file unless a request is using it."""
    try:
        with path.open("rb") as file:
            if not _try_lock(file):
                return False
            path.unlink()
    except FileNotFoundError:
        return False
    return True
