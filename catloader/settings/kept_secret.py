"""Secrets that are generated at the first start and kept in the data folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from catloader.errors import SettingError

_WRITING_S = 2.0
_POLL_S = 0.01

KEY_FILE = "secret-key"
"""File of the data folder with the key that signs log-ins, if no setting contains it."""


def kept_secret(path: Path, make: str = "", check: Callable[[SecretStr], object] = lambda _: None) -> str:
    """Return the secret in ``path``; if there is none, write it there first (mode 600).

    Processes that start together agree on one secret, because the file appears under its name complete or not
    at all. On file systems without hard links (some network file systems and memory cards) it may be empty
    for a moment.

    Args:
        make: the secret to write; empty: 48 random bytes as text.
        check: raises ValueError, with the rule, if a secret is not valid.

    Raises:
        SettingError: ``path`` is not text, can't be read, or has a secret that is not valid.
    """
    deadline_s = time.monotonic() + _WRITING_S
    while not (secret := _read(path)):
        if time.monotonic() > deadline_s:
            path.unlink(missing_ok=True)  # the process that wrote it was killed
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(make or secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            _publish(draft, path)
        draft.unlink(missing_ok=True)
        if path.exists() and not path.stat().st_size:
            time.sleep(_POLL_S)
    try:
        check(SecretStr(secret))
    except ValueError as error:
        raise _refusal(path, f"is not valid: {error}") from None
    return secret


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()  # Notepad writes a byte order mark
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _refusal(path, f"can't be read: {reason}") from error


def _refusal(path: Path, reason: str) -> SettingError:
    return SettingError(
        f"The secret in {path} {reason}. Restore it from a backup, or move it away: then a new one is made, "
        "and what was signed with the old one is not valid any more."
    )


def _publish(draft: Path, path: Path) -> None:
    """Give the draft its name.

    Raises:
        FileExistsError: another process was first.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # only one process succeeds
        draft.replace(path)
