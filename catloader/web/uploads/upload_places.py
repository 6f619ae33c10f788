"""The limit on uploads in one process: each takes a place, waits for one, or is refused with a retry time.

At most as many uploads wait as there are places. So a browser that sends three photos at once is not refused,
nor is an upload that arrives while SQLite is locked. After many refusals no upload waits any more: that would
make every upload slower, and none faster.

If clients that were refused at the same time also retried at the same time, each wave would take the cores
from the uploads in progress. So the retry times are random, in a range that grows with the number of recent
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
"""As long as a request waits for SQLite's lock, because the uploads in progress may be waiting for it."""


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
        """Take a place, if necessary after the uploads that are waiting already.

        Raises:
            UploadsBusy: no place is free, and this upload has waited too long, or must not wait because too
                many others wait or were refused lately.
        """
        with self._changed:
            if self._free > len(self._line) or self._wait():
                self._free -= 1
                return
        self.refuse()

    def _wait(self) -> bool:
        """Wait in line. Return True once this upload is first and a place is free, else False."""
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
        """Count a refusal.

        Raises:
            UploadsBusy: always, with the time after which to retry.
        """
        with self._changed:
            spread_s = min(self._refused_lately(), _MOST_SPREAD_S)
            self._refused_at.append(self._clock())
        error = UploadsBusy(BUSY)
        error.retry_after_s = UploadsBusy.retry_after_s + secrets.randbelow(spread_s + 1)
        raise error

    def is_crowded(self) -> bool:
        """Return True if no place is free and many uploads were refused recently.

        Then the body of a new upload is not kept. Otherwise it is: a place may be free when it has arrived.
        """
        with self._changed:
            return not self._free and self._refused_lately() >= self._crowd

    def _refused_lately(self) -> int:
        since = self._clock() - _LATELY_S
        while self._refused_at and self._refused_at[0] < since:
            self._refused_at.popleft()
        return len(self._refused_at)
