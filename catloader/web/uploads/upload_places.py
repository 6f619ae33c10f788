"""The places of one process for uploads: some wait for one, others are refused with a time to retry.

As many uploads as there are places may wait, so that the third photo of a browser that sends three at once is
not refused, nor one that arrives while SQLite is locked. In a crowd nothing waits: that would make every
upload slower, and none faster.

Clients that are refused together and retry together form a crowd again, and each wave takes the cores from
the uploads in progress. So the retry times are random, in a range that grows with the number of recent
refusals.
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
"""Refusals per place within ``_LATELY_S`` above which bodies are not kept while all places are taken."""
_PATIENCE_S = 12.0
"""The same time as a request waits for SQLite's lock, for which earlier uploads may be waiting."""


class UploadPlaces:
    """Places that uploads take once their bodies are received. Thread-safe."""

    def __init__(
        self, count: int, clock: Callable[[], float] = time.monotonic, patience_s: float = _PATIENCE_S
    ) -> None:
        self._free, self._crowd, self._clock = count, _CROWD * count, clock
        self._most_waiting, self._patience_s = count, patience_s
        self._line: list[object] = []
        self._changed = threading.Condition()
        self._refused_at: deque[float] = deque(maxlen=max(self._crowd, _MOST_SPREAD_S))

    def take(self) -> None:
        """Take a place, after the uploads that wait already.

        Raises:
            UploadsBusy: none is free and the maximum is waiting, or there is a crowd, or none became free in
                time.
        """
        with self._changed:
            if self._free > len(self._line) or self._wait():
                self._free -= 1
                return
        self.refuse()

    def _wait(self) -> bool:
        """Return True once a place is free for this one, the first of those that wait."""
        if len(self._line) >= self._most_waiting or self._refused_lately() >= self._crowd:
            return False
        ticket = object()
        self._line.append(ticket)
        try:
            return self._changed.wait_for(
                lambda: self._free > 0 and self._line[0] is ticket, self._patience_s
            )
        finally:
            self._line.remove(ticket)
            self._changed.notify_all()

    def leave(self) -> None:
        """Give the place back."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def refuse(self) -> NoReturn:
        """Refuse an upload.

        Raises:
            UploadsBusy: always.
        """
        with self._changed:
            spread_s = min(self._refused_lately(), _MOST_SPREAD_S)
            self._refused_at.append(self._clock())
        error = UploadsBusy(BUSY)
        error.retry_after_s = UploadsBusy.retry_after_s + secrets.randbelow(spread_s + 1)
        raise error

    def is_crowded(self) -> bool:
        """Return True if an upload that begins now would be refused, like many others recently.

        Its body need not be kept. Outside of a crowd, a place may be free by the end of a slow upload.
        """
        with self._changed:
            return not self._free and self._refused_lately() >= self._crowd

    def _refused_lately(self) -> int:
        since = self._clock() - _LATELY_S
        while self._refused_at and self._refused_at[0] < since:
            self._refused_at.popleft()
        return len(self._refused_at)
