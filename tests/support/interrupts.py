"""Ctrl-C at the worst possible moment."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def ctrl_c_when_locked(function: str, first: Callable[[], object], *, skip: int = 0) -> Iterator[None]:
    """Raise SIGINT whenever this thread has acquired a condition's lock and not yet entered the block.

    A KeyboardInterrupt that is raised there leaves the lock acquired.

    Args:
        function: the name of the function that acquires the lock.
        first: called after the lock is acquired, before SIGINT.
        skip: number of acquisitions before the first SIGINT.
    """
    left = skip

    def profile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal left
        if event == "return" and frame.f_code is threading.Condition.__enter__.__code__:
            caller = frame.f_back
            if caller is not None and caller.f_code.co_name == function:
                left -= 1
                if left < 0:
                    first()
                    signal.raise_signal(signal.SIGINT)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
