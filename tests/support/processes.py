"""Processes that may end while a test looks at them.

psutil raises an error for a process that has ended since it was listed, and for a zombie, which has no
command line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from tests.support.forked import Command


def command_of(process: psutil.Process) -> list[str]:
    """Return the words of a process's command line; empty if it has ended or belongs to another user."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def end(process: Command, timeout_s: float = 60) -> None:
    """End a program by SIGTERM if it is still running.

    If it does not end in time, the test fails and the program is killed. Otherwise it would keep working in
    the database that later tests use.
    """
    process.terminate()
    try:
        process.wait(timeout_s)
    finally:
        process.kill()
        process.wait()


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that are still running, without zombies."""
    return [process for process in processes if _runs(process)]


def until_gone(processes: Iterable[psutil.Process]) -> None:
    """Wait until none of the processes is running; zombies have ended.

    A process ends a moment after it is killed or after its parent has died.
    """
    watched, deadline_s = list(processes), time.monotonic() + 60
    while left := alive(watched):
        assert time.monotonic() < deadline_s, left
        time.sleep(0.01)


def kill(process: psutil.Process) -> None:
    """Kill a process, which may have ended already, and wait for its end."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
    until_gone([process])


def _runs(process: psutil.Process) -> bool:
    try:
        # A process looks like a zombie as soon as its first thread has ended. Other threads may still be
        # ending, and hold its files and ports.
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False
