"""Counts of outcomes, for the log of the workers."""

from __future__ import annotations

import logging
import time
from collections import Counter

from checker.plurals import counted
from checker.values import Outcome

logger = logging.getLogger(__name__)

_LOG_EVERY_S = 60.0

LOST = "taken over by another checker"
ERROR = "error"
"""An attempt without a verdict; another attempt may follow."""


class Tally:
    """Outcomes since the last log line, by kind. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since_s = time.monotonic()

    def restart(self) -> None:
        """Restart the clock: the workers were idle until now."""
        self._since_s = time.monotonic()

    def add(self, kind: str) -> None:
        """Count one outcome, and log if the last line is a minute old."""
        self._counts[kind] += 1
        if time.monotonic() - self._since_s > _LOG_EVERY_S:
            self.log()

    def log(self) -> None:
        """Log one line with the counts, if there are any, and start from zero."""
        if not self._counts:
            return
        seconds, photos = time.monotonic() - self._since_s, self._counts.total()
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self._counts.items()))
        each_ms = seconds * 1000 / photos
        number = counted(photos, "photo")
        logger.info("checked %s in %.2f s (%.0f ms each): %s", number, seconds, each_ms, counts)
        self._counts.clear()
        self._since_s = time.monotonic()


def kind_of(outcome: Outcome) -> str:
    """Return the kind of a written outcome: its verdict, ``unreadable``, or ``ERROR``."""
    if outcome.decision is not None:
        return str(outcome.decision.verdict)
    return "unreadable" if outcome.unreadable and not outcome.retryable else ERROR
