"""A circuit breaker: while the object store does not answer, requests to it fail at once.

Existing packages do not fit: pybreaker serialises all calls with a lock; purgatory and circuitbreaker let all
calls through after the pause. Here a single caller probes the store, and the others do not wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catloader.store.s3.errors import NoAnswer

logger = logging.getLogger(__name__)

_FAILURES = 2
PAUSE_S = 3.0


class Breaker:
    """Opens after ``_FAILURES`` consecutive requests without a response. Thread-safe."""

    def __init__(
        self,
        probe: Callable[[], object],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            probe: makes a short request, and raises ``NoAnswer`` without a response; a single caller runs it
                after each pause.
        """
        self._probe, self._clock_s = probe, clock_s
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""
        """The reason why the breaker is open; empty: it is closed."""
        self._opened_s = self._next_probe_s = 0.0

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Run a request in the block.

        Raises:
            NoAnswer: the request got no response, or was not made because earlier ones got none.
        """
        if self._must_probe():
            self._run_probe()
        try:
            yield
        except NoAnswer as error:
            self._count_failure(str(error))
            raise
        except Exception:  # the store refused the request, so it is available
            self._close()
            raise
        self._close()

    def _must_probe(self) -> bool:
        with self._lock:
            if not self._reason:
                return False
            if self._clock_s() < self._next_probe_s:
                raise NoAnswer(self._reason)
            self._next_probe_s = float("inf")  # until this probe is done
            return True

    def _run_probe(self) -> None:
        try:
            self._probe()
        except NoAnswer as error:
            with self._lock:
                self._reason = str(error)
            raise
        except Exception:
            logger.debug("the object store refuses the probe", exc_info=True)  # so it is available
        finally:
            with self._lock:
                self._next_probe_s = self._clock_s() + PAUSE_S
        self._close()

    def _count_failure(self, reason: str) -> None:
        with self._lock:
            self._failures += 1
            if self._failures < _FAILURES or self._reason:
                return
            self._reason, self._opened_s = reason, self._clock_s()
            self._next_probe_s = self._opened_s + PAUSE_S
        logger.error("%s Until it answers, requests to it fail at once.", reason)

    def _close(self) -> None:
        if not self._failures:  # the usual case needs no lock
            return
        with self._lock:
            was_open, self._reason, self._failures = self._reason, "", 0
            away_s = self._clock_s() - self._opened_s
        if was_open:
            logger.warning("The object store answers again, after %.0f s.", away_s)
