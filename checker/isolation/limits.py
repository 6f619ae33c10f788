"""The limits of a decoding process: processor time, memory, files, and the lifetime of its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # <linux/prctl.h>
_M_ARENA_MAX = -8  # of glibc's malloc.h
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # <asm-generic/unistd.h>: the same on every architecture
# Bits of <linux/landlock.h>, ABI 1: run a program, write a file; remove and make folders and files.
_CHANGES = 1 << 0 | 1 << 1 | sum(1 << bit for bit in range(4, 13))
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


def confine(memory_bytes: int, files: int = _MAX_FILES) -> None:
    """Set the permanent limits: memory, descriptors, no core file, no changes to files."""
    _lower(resource.RLIMIT_NOFILE, files)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, _statm_bytes(0) + memory_bytes)
    forbid_changes()


def forbid_changes() -> None:
    """Forbid this process to write to files and, if the kernel has Landlock, to change or run any."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    handled = struct.pack("Q", _CHANGES)
    ruleset = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if ruleset >= 0:
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.syscall(_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


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


def resident_bytes() -> int:
    """Return the memory that this process holds; 0 where the system does not tell."""
    return _statm_bytes(1) if sys.platform == "linux" else 0


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


def _statm_bytes(column: int) -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[column])
    return pages * resource.getpagesize()
