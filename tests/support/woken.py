"""A checker that only counts its wake-ups."""

from __future__ import annotations

import threading


class Woken:
    """Call it to wake it; ``again`` waits for a call that was not waited for yet."""

    def __init__(self) -> None:
        self._calls = threading.Semaphore(0)
        self._lock = threading.Lock()
        self.count = 0

    def __call__(self) -> None:
        with self._lock:
            self.count += 1
        self._calls.release()

    def again(self, timeout_s: float = 10) -> bool:
        return self._calls.acquire(timeout=timeout_s)
