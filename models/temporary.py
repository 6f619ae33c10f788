"""Temporary folders, which the next process removes if the process that made them was killed."""

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
"""File that a process locks while it uses the folder; the kernel releases the lock when the process ends."""


@contextlib.contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder and remove it afterwards; first remove folders of processes that were killed.

    Forks share the lock: the folder is in use until they have ended too. If the file system does not support
    locks, folders of other processes are not removed.

    Args:
        prefix: start of the folder's name; nothing else in ``parent`` may have a name that starts like this.
        parent: None: the system's folder for temporary files.
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
        with contextlib.suppress(OSError):  # locks are not supported
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        lock.close()  # another process removed the folder before it was locked
