"""The places of one process for uploads: who gets none is refused at once, and told when to come back.

Programs that are refused together and come back together are a crowd again: each wave takes the cores from
the uploads that are worked on. So the time to come back is spread, the wider the more were refused lately.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from catloader.errors import UploadsBusy
from catloader.intake.places import BUSY

_LATELY_S = 5.0
_MOST_SPREAD_S = 55
_CROWD = 4
"""Refusals for each place within ``_LATELY_S`` from which bodies are not kept while all places are taken."""


class UploadPlaces:
    """Places that uploads take once their bodies have come in. Thread-safe; nothing waits."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free, self._crowd, self._clock = count, _CROWD * count, clock
        self._lock = threading.Lock()
        self._refused_at: deque[float] = deque(maxlen=max(self._crowd, _MOST_SPREAD_S))

    def take(self) -> None:
        """Take a place.

        Raises:
            UploadsBusy: none is free; a queue would make every upload slower, and none faster.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return
        self.refuse()

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self._free += 1

    def refuse(self) -> NoReturn:
        """Refuse an upload.

        Raises:
            UploadsBusy: always.
        """
        with self._lock:
            spread_s = min(self._refused_lately(), _MOST_SPREAD_S)
            self._refused_at.append(self._clock())
        error = UploadsBusy(BUSY)
        error.retry_after_s = UploadsBusy.retry_after_s + secrets.randbelow(spread_s + 1)
        raise error

    def is_crowded(self) -> bool:
        """Return True if an upload that begins to come in would be refused as many others lately.

        Its body need not be kept. While few come, a place may be free by the end of a slow upload.
        """
        with self._lock:
            return not self._free and self._refused_lately() >= self._crowd

    def _refused_lately(self) -> int:
        since = self._clock() - _LATELY_S
        while self._refused_at and self._refused_at[0] < since:
            self._refused_at.popleft()
        return len(self._refused_at)
