"""A cache of the renditions that this process has just put, which its own checker then need not fetch."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_KEPT_S = 60
"""A photo that this process has not claimed after this time is checked elsewhere, or later from the store."""


class RecentRenditions:
    """Encoded renditions by key, up to ``max_bytes`` in all; the oldest are dropped first. Thread-safe.

    The store remains authoritative: renditions that are not here are fetched from it, and retries and replays
    always fetch.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def add(self, key: str, data: bytes) -> None:
        """Keep a rendition that the store has accepted, unless it exceeds ``max_bytes``."""
        now_s = self._clock()
        with self._lock:
            self._drop(key)
            if len(data) > self._max_bytes:
                return
            self._kept[key] = now_s, data
            self._bytes += len(data)
            while self._bytes > self._max_bytes or now_s - next(iter(self._kept.values()))[0] > _KEPT_S:
                self._drop(next(iter(self._kept)))

    def take(self, key: str) -> bytes | None:
        """Remove and return the rendition; None: it is not here."""
        with self._lock:
            return self._drop(key)

    def _drop(self, key: str) -> bytes | None:
        _, data = self._kept.pop(key, (0.0, None))
        self._bytes -= len(data or b"")
        return data
