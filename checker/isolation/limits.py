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
_M_ARENA_MAX = -8  # of glibc's malloc.h
_MAX_FILES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum that one item may use."""

    cpu_s: float = 5.0
    """Processor time of all threads together."""
    wall_s: float = 20.0
    """Four times as long: the machine may be busy."""
    memory_bytes: int = 1536 * 2**20
    """Address space beyond that of an idle child."""


DEFAULT_LIMITS = Limits()


def confine(memory_bytes: int, readable: Sequence[Path] | None, files: int = _MAX_FILES) -> None:
    """Set the permanent limits: memory, descriptors, no core file, no byte written, and ``restrict``'s."""
    _lower(resource.RLIMIT_NOFILE, files)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, OwnMemory().total_bytes() + memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    restrict(readable)


def start_clock(cpu_s: float) -> None:
    """End this process by SIGPROF once its threads have used ``cpu_s`` from now; 0: not any more.

    An interval timer and not RLIMIT_CPU, which counts whole seconds.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def die_with(parent_pid: int) -> None:
    """Let the kernel kill this process when the thread that forked it ends. Linux only.

    For a process that was only forked; ``catloader.processes.start_child`` does it for a program.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)  # it ended before the kernel was asked


def _lower(limit: int, most: int) -> None:
    _, hard = resource.getrlimit(limit)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))


class OwnMemory:
    """The memory of the process that makes this. The file stays open, as a confined process can't open it."""

    def __init__(self) -> None:
        linux = sys.platform == "linux"
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC) if linux else None

    def total_bytes(self) -> int:
        """Return the size of the address space; 0 where the system does not tell."""
        return self._bytes(0)

    def resident_bytes(self) -> int:
        """Return the memory that the process holds; 0 where the system does not tell."""
        return self._bytes(1)

    def _bytes(self, column: int) -> int:
        if self._statm is None:
            return 0
        return int(os.pread(self._statm, 128, 0).split()[column]) * resource.getpagesize()


def share_one_arena() -> None:
    """Let all threads of this process take memory from one heap; call it before they start.

    glibc gives each thread a heap of its own, so memory that one thread has freed is not used by the others.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return freed memory to the system; only glibc has to be asked."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
