"""Rate limits for log messages, so that an error that repeats with every request does not fill the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_PERIOD_S = 60.0
_MAX_CAUSES = 256


class LogLimit:
    """Let one message per minute through, and count the others. Thread-safe."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s, self._lock = clock_s, threading.Lock()
        self._next_s = float("-inf")
        self._suppressed = 0

    def suffix(self) -> str | None:
        """Return a suffix with the number of suppressed messages; None: this message must not be logged."""
        with self._lock:
            now_s = self._clock_s()
            if now_s < self._next_s:
                self._suppressed += 1
                return None
            count, self._suppressed = self._suppressed, 0
            self._next_s = now_s + _PERIOD_S
            return f" ({count} more not logged)" if count else ""


class LogLimits:
    """A ``LogLimit`` for each of the latest 256 causes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: dict[str, LogLimit] = {}

    def suffix(self, cause: str) -> str | None:
        """Return the ``LogLimit.suffix`` of this cause."""
        with self._lock:
            if cause not in self._limits and len(self._limits) >= _MAX_CAUSES:
                self._limits.pop(next(iter(self._limits)))
            limit = self._limits.setdefault(cause, LogLimit())
        return limit.suffix()
