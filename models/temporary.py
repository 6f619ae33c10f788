"""Temporary folders that the next process removes if theirs was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LOCK = ".in-use"
"""The file that a process locks as long as it uses the folder; the kernel drops the lock at its end."""


@contextlib.contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, and remove it afterwards; before, remove those of processes that were killed.

    Forks share the lock: the folder is in use until they have ended too. Where the file system has no locks,
    nothing of another process is removed.

    Args:
        prefix: begins the folder's name, and no name of other things in ``parent``.
        parent: None: the folder for temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(prefix, parent)
    folder, lock = _locked_folder(prefix, parent)
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(prefix: str, parent: Path | None = None) -> None:
    """Remove the folders of ``temporary_folder`` whose processes have ended."""
    for path in (parent or Path(tempfile.gettempdir())).glob(f"{prefix}*/{_LOCK}"):
        with contextlib.suppress(OSError), path.open("r+") as lock:  # in use, gone, or another user's
            if os.fstat(lock.fileno()).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)


def _locked_folder(prefix: str, parent: Path) -> tuple[Path, IO[str]]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = (folder / _LOCK).open("x")
        with contextlib.suppress(OSError):  # no locks here
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        lock.close()  # another process has removed the folder before it was locked
