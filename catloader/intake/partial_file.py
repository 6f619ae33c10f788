"""The file of a partial upload: a line of JSON, then the received bytes. Its id contains its length."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from catloader.errors import NotFound, OffsetMismatch, TooManyBytes
from catloader.languages import gettext_noop

_ID = re.compile(r"[0-9a-f]{32}-[1-9][0-9]{0,11}")
_PIECE_BYTES = 256 * 1024
NOT_THERE = gettext_noop("This upload does not exist, or it has expired.")


def upload_id(owner_id: int, key: str, length_bytes: int) -> str:
    """Return the id of an upload that its client calls ``key``: the same key always gives the same id."""
    return f"{hashlib.sha256(f'{owner_id}:{key}'.encode()).hexdigest()[:32]}-{length_bytes}"


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def length_of(id: str) -> int:
    """Return the size of the complete file in bytes.

    Raises:
        NotFound: this is not the id of an upload.
    """
    if not is_id(id):
        raise NotFound(NOT_THERE)
    return int(id.rpartition("-")[2])


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts that a client states about its file."""

    name: str = ""
    caption: str = ""
    keep_date: bool = False
    square: str = ""
    """In the form of ``square.square_of_text``; empty: the site chooses the square."""


class Damaged(Exception):
    """The first line of the file is not valid, for example after a power failure."""


def read_facts(file: BinaryIO) -> FileFacts:
    """Read the first line.

    Raises:
        Damaged: the line is not valid.
    """
    try:
        return FileFacts(**json.loads(file.readline()))
    except (ValueError, TypeError) as error:
        raise Damaged from error


class OpenUpload:
    """A partial upload, locked for this caller."""

    def __init__(self, id: str, path: Path, file: BinaryIO) -> None:
        self.id, self._path, self._file = id, path, file
        self.facts = read_facts(file)
        self._start = file.tell()
        self.length_bytes = length_of(id)
        self.offset_bytes = file.seek(0, 2) - self._start

    def append(self, offset_bytes: int, stream: BinaryIO, size_bytes: int) -> None:
        """Add the next bytes of the file.

        Raises:
            OffsetMismatch: the bytes do not begin at the current offset.
            TooManyBytes: the bytes exceed the declared length of the file.
        """
        if offset_bytes != self.offset_bytes:
            raise OffsetMismatch("This upload continues at byte %(number)d.", number=self.offset_bytes)
        if size_bytes > self.length_bytes - self.offset_bytes:
            raise TooManyBytes("These are more bytes than the declared length of the file.")
        while size_bytes and (piece := stream.read(min(_PIECE_BYTES, size_bytes))):
            self._file.write(piece)
            self.offset_bytes += len(piece)
            size_bytes -= len(piece)
        self._file.flush()

    def restart(self) -> None:
        """Discard the received bytes."""
        self._file.truncate(self._start)
        self._file.seek(self._start)
        self.offset_bytes = 0

    def drop_last_byte(self) -> None:
        """Discard the last byte, which the client then sends again."""
        self._file.truncate(self._start + self.offset_bytes - 1)
        self._file.seek(0, 2)
        self.offset_bytes -= 1

    @property
    def is_whole(self) -> bool:
        return self.offset_bytes == self.length_bytes

    def read(self) -> bytes:
        """Return the bytes received so far."""
        self._file.seek(self._start)
        return self._file.read()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
