"""The photos that this process has claimed and not finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager

from checker.errors import CheckerError
from checker.log_limit import LogLimits
from checker.plurals import counted
from checker.ports import CheckQueue
from checker.values import Claim

logger = logging.getLogger(__name__)


class InHand:
    """Claims, and the time at which each was taken.

    Args:
        guard: a reentrant lock.
    """

    def __init__(self, queue: CheckQueue, guard: AbstractContextManager[object]) -> None:
        self._queue, self._guard = queue, guard
        self.since: dict[Claim, float] = {}
        """Claim -> ``time.monotonic`` at which it was taken; changed only while ``guard`` is held. The
        heartbeat renews these claims."""
        self._log_limits = LogLimits()

    def __len__(self) -> int:
        return len(self.since)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self.since

    def hold(self, claims: Iterable[Claim]) -> None:
        with self._guard:
            self.since.update(dict.fromkeys(claims, time.monotonic()))

    def forget(self, claims: Iterable[Claim]) -> None:
        """Stop renewing these claims; claims that are not in hand are ignored."""
        with self._guard:
            for claim in claims:
                self.since.pop(claim, None)

    def release(self, claims: Iterable[Claim]) -> None:
        """Give back the claims that are still in hand: another checker may take their photos at once."""
        with self._guard:
            held = [claim for claim in claims if claim in self.since]
        self.forget(held)
        if held:
            try:
                self._queue.release(held)
            except CheckerError as error:
                if (suffix := self._log_limits.suffix("kept")) is not None:
                    number = counted(len(held), "photo")
                    logger.warning("%s kept until the lease ends: %s%s", number, error, suffix)
