"""The calls that a model runs at the moment, and the time after the last one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

IDLE_S = 10.0


class InFlight:
    """Counts calls, and calls ``on_idle`` once none has run for ``idle_s``. Thread-safe.

    ``on_idle`` runs in a thread of its own; no call begins meanwhile.
    """

    def __init__(self, on_idle: Callable[[], None], idle_s: float) -> None:
        self._on_idle, self._idle_s = on_idle, idle_s
        self._lock = threading.Lock()
        self._calls = 0
        self._ended = 0.0
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextlib.contextmanager
    def call(self) -> Iterator[int]:
        """Count a call as in flight; yield the number of calls in flight, this one included."""
        with self._lock:
            self._calls += 1
            calls = self._calls
        try:
            yield calls
        finally:
            with self._lock:
                self._calls -= 1
                self._ended = time.monotonic()
                if not self._calls and self._timer is None:
                    self._start_timer(self._idle_s)

    def close(self) -> None:
        """Never call ``on_idle`` again."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _start_timer(self, seconds: float) -> None:
        if self._closed:
            return
        timer = threading.Timer(seconds, self._check)
        timer.name, timer.daemon = "idle model", True
        with contextlib.suppress(RuntimeError):  # the machine has no free thread; the next call tries again
            timer.start()
            self._timer = timer

    def _check(self) -> None:
        with self._lock:
            self._timer = None
            if self._closed or self._calls:
                return  # the end of the last call starts a timer
            left_s = self._ended + self._idle_s - time.monotonic()
            if left_s > 0:
                self._start_timer(left_s)
            else:
                self._on_idle()
