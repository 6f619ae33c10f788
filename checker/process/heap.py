"""The heap of this process, as glibc manages it; other C libraries need none of this."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8  # <malloc.h>


def share_one_arena() -> None:
    """Let all threads of this process allocate from one heap; call this before they start.

    By default glibc gives each thread its own heap, and other threads don't reuse memory that one has freed.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return freed memory to the system. Only glibc needs the call."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
