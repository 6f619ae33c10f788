"""Verify weights against the catalogue, without torch, for ``models verify`` and ``models fetch``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from models.catalogue import Entry
from models.errors import ModelsError, WeightsMissing, WeightsRefused

_CHUNK_BYTES = 1 << 20


def verify(entry: Entry, path: Path) -> str:
    """Compare a file with the entry's digest; return its sha256, 64 hex digits.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: the digest differs, or the file can't be read.
    """
    with open_weights(path) as file:
        return verify_open(entry, path.name, file)


def is_verified(entry: Entry, path: Path) -> bool:
    """Return True if ``verify`` accepts the file."""
    try:
        return bool(verify(entry, path))
    except ModelsError:
        return False


def open_weights(path: Path) -> IO[bytes]:
    """Open a file of weights. Raises as ``verify``."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block
            raise WeightsRefused(f"{path} is not a regular file.")
        return path.open("rb")
    except FileNotFoundError:
        raise WeightsMissing(f"There is no file {path}.") from None
    except OSError as error:
        raise WeightsRefused(f"{path} can't be read: {error.strerror}.") from error


def verify_open(entry: Entry, name: str, file: IO[bytes]) -> str:
    """Do the same as ``verify`` for an open file, which is read to its end; ``name`` is used in messages."""
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    sha256 = digest.hexdigest()
    if not sha256.startswith(entry.sha256):
        raise WeightsRefused(
            f"{name} ({size_bytes} bytes) is not the {entry.name} of the catalogue: its sha256 begins with "
            f"{sha256[:12]}, not with {entry.sha256[:12]}. It is truncated, altered, or another file."
        )
    return sha256
