"""A folder that the processes of one test run share, so that only one of them makes an expensive file."""

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
"""Names the folder. The first process sets this variable for its children and removes the folder at its end.

If a run is killed, the next run removes its folder.
"""


def make(config: pytest.Config) -> None:
    """Make the folder if this is the first process of the run."""
    if VARIABLE not in os.environ:
        stack = ExitStack()
        folder = stack.enter_context(temporary_folder("catloader-test-run-"))
        folder.chmod(0o711)  # PostgreSQL does not run as root
        os.environ[VARIABLE] = str(folder)
        config.add_cleanup(stack.close)
        stack.callback(_remove_traces)


def _remove_traces() -> None:
    """Remove files that killed sites have left and that no later start has removed."""
    del os.environ[VARIABLE]
    remove_abandoned("catloader-metrics-")
    remove_abandoned_sockets()


def path() -> Path:
    return Path(os.environ[VARIABLE])


def parent() -> Path | None:
    """Return the folder in which to make temporary folders, or None outside of a test run."""
    return path() if VARIABLE in os.environ else None


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder ``name``. The first process fills it with ``make``; the others wait.

    The folder must not change afterwards. If ``make`` fails, the next process tries again.
    """
    folder = path() / name
    with (path() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = Path(tempfile.mkdtemp(dir=path()))
            make(unfinished)
            unfinished.rename(folder)
    return folder
