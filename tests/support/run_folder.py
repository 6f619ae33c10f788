"""A folder that the processes of one test run share: one of them makes expensive files once for all."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from catloader.store.s3.seaweedfs import remove_abandoned_sockets
from models.temporary import remove_abandoned, temporary_folder

VARIABLE = "CATCHECK_TEST_RUN"
"""Names the folder; the first process sets it for its children, and removes the folder at its end.

The next run removes that of a run that was killed.
"""


def make(config: pytest.Config) -> None:
    """Make the folder, in the first process of the run."""
    if VARIABLE not in os.environ:
        stack = ExitStack()
        folder = stack.enter_context(temporary_folder("catloader-test-run-"))
        folder.chmod(0o711)  # PostgreSQL does not run as root
        os.environ[VARIABLE] = str(folder)
        config.add_cleanup(stack.close)
        stack.callback(_remove_traces)


def _remove_traces() -> None:
    """Remove what sites that tests killed have left, and no later start has removed."""
    del os.environ[VARIABLE]
    remove_abandoned("catloader-metrics-")
    remove_abandoned_sockets()


def path() -> Path:
    return Path(os.environ[VARIABLE])


def parent() -> Path | None:
    """Return the folder for further temporary folders; None outside of a test run."""
    return path() if VARIABLE in os.environ else None


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of this name, which the first process fills by ``make``; the others wait for it.

    It may not be changed afterwards. If ``make`` fails, the next process tries again.
    """
    folder = path() / name
    with (path() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(dir=path()))
            make(unfinished)
            unfinished.rename(folder)
    return folder
