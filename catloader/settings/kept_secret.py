"""Secrets that are made at the first start and kept in the data folder."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def kept_secret(path: Path, make: str = "") -> str:
    """Read the secret in ``path``; write it there first (mode 600) when there is none.

    Processes that start together agree on one secret: the file appears whole under its name, or not at all.

    Args:
        make: the secret to write; empty: a random one of 48 bytes.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(make or secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
