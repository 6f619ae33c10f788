"""Files that several processes write, and files that may be pipes or of any size."""

from __future__ import annotations

import errno
import io
import os
import secrets
import select
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

_PART_BYTES = 2**20


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


def read_at_most(file: IO[bytes], max_bytes: int) -> bytes:
    """Return the rest of the file, or its next ``max_bytes``, which may be far more than the memory."""
    content = io.BytesIO()
    while part := file.read(min(_PART_BYTES, max_bytes - content.tell())):
        content.write(part)
    return content.getvalue()


def read_soon(path: Path, max_bytes: int, wait_s: float = 10.0) -> bytes:
    """Return the content of a file or pipe, or its first ``max_bytes``.

    Args:
        wait_s: limit for the wait on a pipe, such as a shell's ``<(command)``.
    Raises:
        OSError: the file can't be read, or the pipe was not written in time.
    """
    deadline_s, content = time.monotonic() + wait_s, b""
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
        poll = select.poll()
        poll.register(file, select.POLLIN)
        while len(content) < max_bytes:
            if not poll.poll(1000 * max(0.0, deadline_s - time.monotonic())):
                raise TimeoutError(errno.ETIMEDOUT, f"it is a pipe that was not written within {wait_s:g} s")
            part = file.read(max_bytes - len(content))
            if part == b"":
                break
            content += part or b""
    return content
