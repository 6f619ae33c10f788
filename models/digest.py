"""Is this file the one that the catalogue means? Without torch: `verify` and `fetch` ask too."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from models.catalogue import Entry
from models.errors import WeightsMissing, WeightsRefused

_CHUNK_BYTES = 1 << 20


def verify(entry: Entry, path: Path) -> str:
    """The file's sha256, 64 hex digits.

    Raises:
        WeightsMissing: no such file.
        WeightsRefused: another digest than the catalogue's, or unreadable.
    """
    with open_weights(path) as file:
        return checked_digest(entry, path.name, file)


def open_weights(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise WeightsMissing(f"There is no file {path}.") from None
    except OSError as error:
        raise WeightsRefused(f"{path} can't be read: {error.strerror}.") from error


def checked_digest(entry: Entry, name: str, file: IO[bytes]) -> str:
    """Reads ``file`` to its end; ``name`` is for the message."""
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    found = digest.hexdigest()
    if not found.startswith(entry.sha256):
        raise WeightsRefused(
            f"{name} ({size_bytes} bytes) is not the {entry.name} of the catalogue: its sha256 begins with "
            f"{found[:12]}, not with {entry.sha256[:12]}. It is truncated, altered, or another file."
        )
    return found
