"""The limits of a decoding process: processor time, memory, files, and the lifetime of its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from checker.isolation.sandbox import restrict

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_MAX_FILES = 16
_OOM_SCORE, _HIGHEST_OOM_SCORE = 500, 1000
"""In thousandths of the memory of the machine or container: added to what a process uses when the kernel
chooses the process to kill."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum that one item may use."""

    cpu_s: float = 5.0
    """Processor time of all threads together."""
    wall_s: float = 20.0
    """Four times ``cpu_s``, because the machine may be busy."""
    memory_bytes: int = 1536 * 2**20
    """Address space in addition to that of an idle child."""


DEFAULT_LIMITS = Limits()


def confine(memory_bytes: int, readable: Sequence[Path] | None, files: int = _MAX_FILES) -> None:
    """Set the permanent limits: memory, descriptors, no core file, no writing to files, and ``restrict``."""
    _lower(resource.RLIMIT_NOFILE, files)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, OwnMemory().total_bytes() + memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    restrict(readable)


def end_first_without_memory() -> None:
    """Let the kernel kill this process before others if memory runs out. Linux only.

    By default it kills the largest process, in a container with little memory the site. A small child is
    still spared if another program takes most of a machine's memory.
    """
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):  # Kubernetes may have set a score for all processes
        higher = min(int(score.read_text("ascii")) + _OOM_SCORE, _HIGHEST_OOM_SCORE)
        score.write_text(f"{higher}", "ascii")


def start_clock(cpu_s: float) -> None:
    """End this process by SIGPROF once its threads have used ``cpu_s`` from now on; 0: stop the clock.

    This is an interval timer, because RLIMIT_CPU counts whole seconds.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def die_with(parent_pid: int) -> None:
    """Let the kernel kill this process when the thread that forked it ends. Linux only.

    For a process that was only forked; ``catloader.processes.start_child`` does the same for a program.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)  # the parent ended before the call to prctl


def _lower(limit: int, maximum: int) -> None:
    _, hard = resource.getrlimit(limit)
    maximum = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
    resource.setrlimit(limit, (maximum, maximum))


class OwnMemory:
    """The memory of the current process. ``/proc`` stays open, because a confined process can't open it."""

    def __init__(self) -> None:
        self._statm: int | None = None
        with contextlib.suppress(FileNotFoundError):  # not Linux, or a chroot without /proc
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def total_bytes(self) -> int:
        """Return the size of the address space; 0 without Linux's ``/proc``."""
        return self._bytes(0)

    def resident_bytes(self) -> int:
        """Return the resident memory of the process; 0 without Linux's ``/proc``."""
        return self._bytes(1)

    def _bytes(self, column: int) -> int:
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 128, 0).split()[column]) * resource.getpagesize()
