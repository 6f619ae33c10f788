"""A stand-in for a checker that counts its wake-ups."""

from __future__ import annotations

import threading


class WakeUpCounter:
    """Counts its calls; each ``wait_for_next`` waits for one more call."""

    def __init__(self) -> None:
        self._calls = threading.Semaphore(0)
        self._lock = threading.Lock()
        self.count = 0

    def __call__(self) -> None:
        with self._lock:
            self.count += 1
        self._calls.release()

    def wait_for_next(self, timeout_s: float = 60) -> bool:
        return self._calls.acquire(timeout=timeout_s)
