"""Processes that may end while a test looks at them.

psutil raises for a process that has ended since it was listed, and for a zombie, which has no command line.
"""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def command_of(process: psutil.Process) -> list[str]:
    """Return the words of its command line; none once it has ended, or where another user hides it."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return those that still run; zombies do not."""
    return [process for process in processes if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
