"""Renew the leases of the photos in hand, so that a lease can be shorter than the slowest photo."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from checker.log_limit import LogLimits
from checker.ports import CheckQueue
from checker.values import Claim

logger = logging.getLogger(__name__)

_BEATS_PER_LEASE = 3
"""Two beats may be lost to a busy machine or database before another checker takes the photos."""
LONGEST_HOLD_S = 900.0
"""If a photo is in hand for longer, its thread must hang: the lease is no longer renewed, so that another
checker takes the photo. Decoding the slowest batch of the default size takes 80 s, 20 s for each of 4 photos.
"""


class Heartbeat:
    """A daemon thread that renews leases. It stops with the process, and the leases then run out.

    Args:
        in_hand: the claims, each with the ``time.monotonic`` at which it was taken; changed only while
            ``guard`` is held.
    """

    def __init__(
        self,
        queue: CheckQueue,
        in_hand: Mapping[Claim, float],
        guard: AbstractContextManager[object],
        longest_hold_s: float = LONGEST_HOLD_S,
    ) -> None:
        self._queue, self._in_hand, self._guard = queue, in_hand, guard
        self._longest_hold_s = longest_hold_s
        self._log_limits = LogLimits()
        self._closing = threading.Event()
        self._given_up: set[Claim] = set()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread soon; a renewal in progress is completed."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(self._queue.lease_s / _BEATS_PER_LEASE):
            try:
                self._renew()
            except Exception as error:  # the top of this thread; the database may come back in time
                if (suffix := self._log_limits.suffix("renewal")) is not None:
                    logger.warning("leases of photos in hand could not be renewed: %s%s", error, suffix)

    def _renew(self) -> None:
        with self._guard:
            in_hand = dict(self._in_hand)
        now_s = time.monotonic()
        given_up = {claim for claim, since_s in in_hand.items() if now_s - since_s > self._longest_hold_s}
        if new := given_up - self._given_up:
            ids = ", ".join(str(claim.photo_id) for claim in new)
            logger.error("the check of these photos hangs (%s); another checker may take them", ids)
        self._given_up = given_up
        if claims := [claim for claim in in_hand if claim not in given_up]:
            self._queue.renew(claims)
