"""Files that several processes write."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file atomically: readers see the old or the new content. An equal file is left alone.

    Safe to call from several processes at once.

    Raises:
        OSError
    """
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
