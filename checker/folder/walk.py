"""Photos in files and folders, checked as the site would check them: no web, no S3, no database.

Memory, at most, beside the network: for each worker one encoded file (``MAX_BYTES``), one decoded one
(``decode.MAX_PIXELS`` x 4 bytes; x 9 where it is transparent, x 16 where it has more than 8 bits a channel)
and the two small JPEGs of each photo of a micro-batch; and for the whole run
``workers x BATCHES_AHEAD x batch_photos`` outcomes of a few kilobytes. How many files there are does not
matter.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO

from checker.errors import ClassifierFailed, UnreadableImage
from checker.pipeline import LoadedModel, check_batch
from checker.pixels.decode import keep_memory
from checker.pixels.renditions import site_renditions
from checker.values import Claim, Outcome, Rendition

EXTENSIONS = (
    ".avif", ".avifs", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg",
    ".mpo", ".png", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""What counts as a picture inside a folder; files that are named themselves are always read."""

MAX_BYTES = 256 * 2**20
"""Larger files are unreadable, unread."""

BATCHES_AHEAD = 4
"""Per worker: enough that one slow photo does not leave the others without work."""

_SORTED_AT_ONCE = 4096
# A pipe without a writer must not stop us, nor a terminal become ours.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Found:
    """A file to check, or a folder that can't be looked into."""

    path: str
    """As the system knows it: bytes that are no UTF-8 stand in it as surrogates."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """The end of one ``Found``: ``outcome`` is None where ``found.error`` says why."""

    found: Found
    outcome: Outcome | None = None


def walk(paths: Iterable[str]) -> Iterator[Found]:
    """Every named file, and every picture in and below every named folder, hidden ones left out.

    Links to folders are not followed inside of folders, so that no loop is ever entered. The order is by
    name (in folders of more than 4096 entries: within blocks as the system lists them); nothing is
    remembered but the way from the top.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - a str all the way: a Path apiece costs more than the listing
            yield from _below(path)
        else:
            yield Found(path)


def check_files(
    found: Iterable[Found], loaded: LoadedModel, *, workers: int, batch_photos: int
) -> Generator[Checked, None, None]:
    """Check files in a bounded pool; one ``Checked`` each, in the order of ``found``.

    Each worker takes micro-batches from reading to verdict. Closing the generator ends the pool after
    the micro-batches at work.
    """
    keep_memory(workers)
    source = FileSource()
    pool = ThreadPoolExecutor(workers, "check")
    pending: deque[Future[list[Checked]]] = deque()
    numbers = count(1)
    files = iter(found)
    try:
        while batch := list(islice(files, batch_photos)):
            claims = {next(numbers): item for item in batch}
            pending.append(pool.submit(_check, claims, source, loaded))
            while pending and (pending[0].done() or len(pending) >= workers * BATCHES_AHEAD):
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class FileSource:
    """``ports.ImageSource`` over files: a claim's key is a path. Both views come from one reading."""

    def __init__(self) -> None:
        self._thumbnails: dict[int, bytes] = {}

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        """See ``ports.ImageSource``.

        Raises:
            UnreadableImage: the file can't be read, or is no picture.
        """
        thumbnail = self._thumbnails.pop(claim.photo_id, None)
        if rendition is Rendition.THUMBNAIL and thumbnail is not None:
            return thumbnail
        try:
            views = site_renditions(read(claim.photo_key))
        except MemoryError as error:
            raise ClassifierFailed("There was not enough memory to decode the photo.") from error
        if rendition is Rendition.PHOTO:
            self._thumbnails[claim.photo_id] = views[Rendition.THUMBNAIL]
        return views[rendition]


def read(path: str | Path) -> bytes:
    """A whole regular file. Never blocks on pipes, sockets and devices.

    Raises:
        UnreadableImage: there is no file, or no permission, or it is empty or larger than ``MAX_BYTES``.
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 - as above
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableImage("This is not a regular file.")
        too_large = facts.st_size > MAX_BYTES
        if not too_large:
            with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - the only way to give the flags
                data = at_most(file, MAX_BYTES + 1)
            too_large = len(data) > MAX_BYTES  # some say 0, some grow
    except OSError as error:
        raise UnreadableImage(f"The file can't be read: {error.strerror or error}.") from error
    if too_large:
        raise UnreadableImage(f"The file is larger than {MAX_BYTES // 2**20} MB.")
    if not data:
        raise UnreadableImage("The file is empty.")
    return data


def at_most(file: BinaryIO, size_bytes: int) -> bytes:
    """Read what is there without waiting; empty where nothing is there yet, as in ``/proc/kmsg``."""
    return file.read(size_bytes) or b""  # None: reading would have to wait


def _below(folder: str) -> Iterator[Found]:
    # A stack of our own: trees may be deeper than Python's.
    stack = [_entries(folder)]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, Found):
            yield entry
        elif entry.name.startswith("."):
            continue
        elif _is_folder(entry):
            stack.append(_entries(entry.path))
        elif entry.name.lower().endswith(EXTENSIONS):
            yield Found(entry.path)


def _entries(folder: str) -> Iterator[os.DirEntry[str] | Found]:
    try:
        # A scan that came to its end holds no file descriptor: few folders keep one while we are below.
        with os.scandir(folder) as scan:
            while block := sorted(islice(scan, _SORTED_AT_ONCE), key=lambda entry: entry.name):
                yield from block
    except OSError as error:
        yield Found(folder, f"The folder can't be read: {error.strerror or error}.")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # reading it will tell


def _check(batch: dict[int, Found], source: FileSource, loaded: LoadedModel) -> list[Checked]:
    claims = [
        Claim(number, token="", photo_key=found.path, thumbnail_key=found.path, attempt=1)
        for number, found in batch.items()
        if found.error is None
    ]
    outcomes = {
        outcome.claim.photo_id: outcome
        for outcome in check_batch(claims, source, loaded.classifier, loaded.rule)
    }
    return [Checked(found, outcomes.get(number)) for number, found in batch.items()]
