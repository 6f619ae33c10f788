"""Find and check photos in files and folders as the site does, but without web server, S3 or database.

Memory, at most, in addition to the model: for each worker one encoded file (``MAX_BYTES``), a child process
with the same file and one decoded photo (``opening.MAX_PIXELS`` x 4 bytes; x 8 if it is transparent, x 12 if
it has more than 8 bits per channel), and the two small JPEGs of each photo of a micro-batch; and for the
whole run ``workers x BATCHES_AHEAD x batch_photos`` outcomes of a few kilobytes. Memory does not depend on
the number of files.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

from checker.errors import FileUnavailable, UnreadableImage
from checker.isolation.limits import Limits
from checker.pipeline import LoadedModel, check_batch
from checker.pixels.decode import keep_memory
from checker.pixels.isolated import isolated_decoder
from checker.process.interrupts import deferred_interrupt
from checker.values import Claim, Outcome, Rendition

EXTENSIONS = (
    ".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg",
    ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Extensions of photos inside a folder; a file that is named itself is always read."""

MAX_BYTES = 256 * 2**20
"""Larger files are not read; their verdict is ``unreadable``."""

DECODE_LIMITS = Limits(cpu_s=30.0, wall_s=120.0, memory_bytes=3 * 2**30)
"""Limits for one file. They are higher than the site's, because the site accepts fewer bytes and pixels."""

BATCHES_AHEAD = 4
"""Micro-batches in hand per worker, so that one slow photo does not leave the other workers idle."""

_SYSTEM_NAMES = frozenset(
    {
        "$recycle.bin", "recycler", "system volume information", "__macosx", "network trash folder",
        "lost+found", "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot",
        "thumbs.db", "desktop.ini",
    }
)  # fmt: skip
"""Names that Windows, macOS, Linux, Synology and QNAP use for deleted files and previews, in lower case."""

_SORTED_AT_ONCE = 4096
# A pipe without a writer must not block, and a terminal must not become the controlling terminal.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class WalkedFile:
    """A file to check, or a folder that can't be read."""

    path: str
    """The path as the system returns it: bytes that are not UTF-8 appear as surrogates."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """The result for one ``WalkedFile``; ``outcome`` is None if ``file.error`` is set."""

    file: WalkedFile
    outcome: Outcome | None = None


def walk(paths: Iterable[str], on_skip: Callable[[str], object] = lambda _: None) -> Iterator[WalkedFile]:
    """Yield every named file, and every photo in or below a named folder that is not hidden.

    Inside folders, links to folders are not followed, so there are no loops. Entries are sorted by name; in
    folders of more than 4096 entries, within each block of 4096 that the system lists. Only the folders from
    the top to the current one are kept in memory.

    Args:
        on_skip: called with each path that is skipped inside a folder: files without the extension of a
            photo, hidden files and folders, and links to folders.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - str throughout: a Path for each file costs more than the listing
            yield from _below(path, on_skip)
        else:
            yield WalkedFile(path)


def check_files(
    files: Iterable[WalkedFile],
    loaded: LoadedModel,
    *,
    workers: int,
    batch_photos: int,
    limits: Limits = DECODE_LIMITS,
) -> Generator[Checked, None, None]:
    """Check files in a bounded pool; yield one ``Checked`` for each, in the order of ``files``.

    Each worker takes micro-batches from reading to verdict. Closing the generator ends the pool after the
    running micro-batches.
    """
    keep_memory(workers)
    with isolated_decoder(workers, limits) as decoder:
        yield from _check_files(files, loaded, FileSource(decoder.renditions), workers, batch_photos)


def _check_files(
    files: Iterable[WalkedFile], loaded: LoadedModel, source: FileSource, workers: int, batch_photos: int
) -> Generator[Checked, None, None]:
    pool = ThreadPoolExecutor(workers, "check")
    pending: deque[Future[list[Checked]]] = deque()
    numbers = count(1)
    waiting = iter(files)
    try:
        while batch := list(islice(waiting, batch_photos)):
            claims = {next(numbers): item for item in batch}
            with deferred_interrupt():
                pending.append(pool.submit(_check, claims, source, loaded))
            while pending and (len(pending) >= workers * BATCHES_AHEAD or _is_done(pending[0])):
                yield from _result(pending.popleft())
        while pending:
            yield from _result(pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _is_done(future: Future[list[Checked]]) -> bool:
    with deferred_interrupt():
        return future.done()


def _result(future: Future[list[Checked]]) -> list[Checked]:
    with deferred_interrupt():
        return future.result()


class FileSource:
    """An ``ImageSource`` over files: a claim's key is a path. A file is read once for both renditions."""

    def __init__(self, renditions: Callable[[bytes], Mapping[Rendition, bytes]]) -> None:
        """
        Args:
            renditions: makes both renditions of an encoded photo, as ``site_renditions`` does.
        """
        self._renditions = renditions
        self._thumbnails: dict[int, bytes] = {}

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        """See ``ports.ImageSource``.

        Raises:
            UnreadableImage: the file can't be read, or is not a photo.
            DecodingFailed, DecoderUnavailable
        """
        thumbnail = self._thumbnails.pop(claim.photo_id, None)
        if rendition is Rendition.THUMBNAIL and thumbnail is not None:
            return thumbnail
        renditions = self._renditions(read(claim.photo_key))
        if rendition is Rendition.PHOTO:
            self._thumbnails[claim.photo_id] = renditions[Rendition.THUMBNAIL]
        return renditions[rendition]


def read(path: str | Path) -> bytes:
    """Read a whole regular file. Never blocks on pipes, sockets and devices.

    Raises:
        FileUnavailable: there is no file, or no permission, or its disk fails.
        UnreadableImage: it is empty, larger than ``MAX_BYTES``, or not a regular file.
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 - as above
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableImage("This is not a regular file.")
        too_large = facts.st_size > MAX_BYTES
        if not too_large:
            with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - Path.open takes no flags
                data = read_available(file, MAX_BYTES + 1)
            too_large = len(data) > MAX_BYTES  # some files report the size 0, and some grow meanwhile
    except OSError as error:
        raise FileUnavailable(f"The file can't be read: {error.strerror or error}.") from error
    if too_large:
        raise UnreadableImage(f"The file is larger than {MAX_BYTES // 2**20} MB.")
    if not data:
        raise UnreadableImage("The file is empty.")
    return data


def read_available(file: BinaryIO, size_bytes: int) -> bytes:
    """Read up to ``size_bytes`` without waiting; empty if nothing can be read yet, as in ``/proc/kmsg``."""
    return file.read(size_bytes) or b""  # None: reading would block


def _below(folder: str, on_skip: Callable[[str], object]) -> Iterator[WalkedFile]:
    # An explicit stack instead of recursion: folders may be nested deeper than Python's recursion limit.
    stack = [_entries(folder)]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, WalkedFile):
            yield entry
        elif is_hidden(entry.name):
            on_skip(entry.path)
        elif _is_folder(entry):
            stack.append(_entries(entry.path))
        elif entry.name.lower().endswith(EXTENSIONS) and not _is_folder(entry, follow_symlinks=True):
            yield WalkedFile(entry.path)
        else:
            on_skip(entry.path)


def is_hidden(name: str) -> bool:
    """Return True if walks skip this name: it starts with a dot, or is a folder made by a system."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _entries(folder: str) -> Iterator[os.DirEntry[str] | WalkedFile]:
    try:
        # A finished scan has closed its descriptor: only large folders keep one while subfolders are read.
        with os.scandir(folder) as scan:
            while block := sorted(islice(scan, _SORTED_AT_ONCE), key=lambda entry: entry.name):
                yield from block
    except OSError as error:
        yield WalkedFile(folder, f"The folder can't be read: {error.strerror or error}.")


def _is_folder(entry: os.DirEntry[str], *, follow_symlinks: bool = False) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:
        return False  # reading the entry as a file will raise the error


def _check(batch: dict[int, WalkedFile], source: FileSource, loaded: LoadedModel) -> list[Checked]:
    claims = [
        Claim(number, token="", photo_key=file.path, thumbnail_key=file.path, attempt=1)
        for number, file in batch.items()
        if file.error is None
    ]
    outcomes = {
        outcome.claim.photo_id: outcome
        for outcome in check_batch(claims, source, loaded.classifier, loaded.rule)
    }
    return [Checked(file, outcomes.get(number)) for number, file in batch.items()]
