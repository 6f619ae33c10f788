"""Processes that may end while a test looks at them.

psutil raises for a process that has ended since it was listed, and for a zombie, which has no command line.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil


def command_of(process: psutil.Process) -> list[str]:
    """Return the words of a process's command line; empty if it has ended or another user's is hidden."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def end(process: subprocess.Popen[bytes], timeout_s: float = 60) -> None:
    """End a program by SIGTERM, if it still runs.

    One that does not end in time fails the test, and is killed: it would keep working in the database that
    later tests use, too.
    """
    process.terminate()
    try:
        process.wait(timeout_s)
    finally:
        process.kill()
        process.wait()


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that still run; zombies do not."""
    return [process for process in processes if _runs(process)]


def until_gone(processes: Iterable[psutil.Process]) -> None:
    """Wait until none of them runs; zombies do not.

    A process that is killed, or whose parent has died, ends a moment later.
    """
    watched, deadline_s = list(processes), time.monotonic() + 60
    while left := alive(watched):
        assert time.monotonic() < deadline_s, left
        time.sleep(0.01)


def kill(process: psutil.Process) -> None:
    """Kill it, and wait for its end; one that has ended meanwhile is as good."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
    until_gone([process])


def _runs(process: psutil.Process) -> bool:
    try:
        # The first thread of a zombie may have ended while others, which hold its files and ports, still end.
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False
