"""Delete by age only while the clock runs evenly: photos in the bin, and delivered webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from catloader.store.db.server_clock import server_time

STEADY_S = 600.0
"""Time for which the clock must run evenly. After its start, a machine asks a time server within minutes."""
_TOLERANCE_S = 60.0
"""A larger difference between two clocks is a correction, or the machine was suspended."""


class SteadyClock:
    """Measures how long the database's clock has run evenly, by comparing it with the monotonic clock.

    A machine may start with a clock that is years ahead and correct it later. Deletions that can't be undone
    must not depend on such a time.
    """

    def __init__(
        self, read: Callable[[], datetime], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._monotonic_s = read, monotonic_s
        self._difference_s: float | None = None
        self._steady_since_s = 0.0

    @classmethod
    def of(cls, engine: Engine) -> SteadyClock:
        return cls(partial(server_time, engine))

    def steady_s(self) -> float:
        """Return the seconds for which all calls have found the clock running evenly.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        monotonic_s = self._monotonic_s()
        difference_s = self._read().timestamp() - monotonic_s
        if self._difference_s is None or abs(difference_s - self._difference_s) > _TOLERANCE_S:
            self._difference_s, self._steady_since_s = difference_s, monotonic_s
        return monotonic_s - self._steady_since_s

    def after_steady_time(self, delete: Callable[[], int]) -> int:
        """Call ``delete`` if the clock has run evenly for ``STEADY_S``; otherwise return 0."""
        return delete() if self.steady_s() >= STEADY_S else 0
