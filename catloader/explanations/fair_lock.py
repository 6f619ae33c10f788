"""A fair, non-blocking lock: a rejected caller that retries within ``patience_s`` keeps its place in line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class FairLock:
    """A lock for named callers. Thread-safe."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            patience_s: a caller that has not retried for this long loses its place.
        """
        self._patience_s, self._clock = patience_s, clock
        self._guard = threading.Lock()
        self._last_tries_s: dict[int, float] = {}
        """Time of each rejected caller's last attempt, in the order of their first attempts."""
        self._locked = False

    @property
    def locked(self) -> bool:
        return self._locked

    def acquire(self, caller: int) -> bool:
        """Take the lock and return True, or join the line and return False; never wait."""
        with self._guard:
            now_s = self._clock()
            self._last_tries_s = {
                other: last_s
                for other, last_s in self._last_tries_s.items()
                if now_s - last_s < self._patience_s
            }
            first_in_line = next(iter(self._last_tries_s), caller)
            if self._locked or first_in_line != caller:
                self._last_tries_s[caller] = now_s
                return False
            self._last_tries_s.pop(caller, None)
            self._locked = True
            return True

    def release(self) -> None:
        self._locked = False
