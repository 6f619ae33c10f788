"""A folder that the processes of one test run share: one of them makes expensive files once for all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

VARIABLE = "CATCHECK_TEST_RUN"
"""Names the folder; the first process sets it for its children, and removes the folder at its end."""


def pytest_configure(config: pytest.Config) -> None:
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = folder = tempfile.mkdtemp(prefix="catloader-test-run-")
        config.add_cleanup(lambda: _remove(folder))


def _remove(folder: str) -> None:
    del os.environ[VARIABLE]
    shutil.rmtree(folder, ignore_errors=True)


def path() -> Path:
    return Path(os.environ[VARIABLE])


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
