"""The cost of claims and verdicts, by the number of finished rows and of dead rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import Engine
from catloader.store.db.testing import made_up_outcome
from checker.values import Claim
from scripts.scale.fleet import BATCH_PHOTOS, queue_of

ROUNDS = 12
_BATCHES = 40
"""Number of micro-batches in each round."""


class Table:
    """A table whose claims are timed, in turn with those of other tables."""

    def __init__(self, engine: Engine, **facts: Any) -> None:
        self.engine = engine
        self._facts = facts
        self._queue = queue_of(engine)
        self._claim_ms: list[float] = []
        self._finish_ms: list[float] = []
        self._queue.next_due_s()  # opens a connection, which is not timed

    def measure(self) -> None:
        """Claim and finish micro-batches."""
        claim_ms, batches = _timed(lambda: self._queue.claim(BATCH_PHOTOS))
        if sum(map(len, batches)) < _BATCHES * BATCH_PHOTOS:
            raise RuntimeError("too few photos wait: an empty claim costs less")
        rest = iter(batches)
        finish_ms, written = _timed(lambda: _finish(self._queue, next(rest)))
        if not all(written):
            raise RuntimeError("A verdict was not written.")
        self._claim_ms += claim_ms
        self._finish_ms += finish_ms

    def costs(self) -> dict[str, Any]:
        """Return percentiles of the times in milliseconds: the 20th of claims and verdicts, more of claims.

        The 20th percentile is hardly affected by other programs on the machine.
        """
        return {
            **self._facts,
            "claim_ms": _below(self._claim_ms, 0.2),
            "claim_p50_ms": _below(self._claim_ms, 0.5),
            "claim_p95_ms": _below(self._claim_ms, 0.95),
            "finish_ms": _below(self._finish_ms, 0.2),
        }


def _below(times_ms: Sequence[float], share: float) -> float:
    return round(sorted(times_ms)[int(share * len(times_ms))], 2)


def _timed(work: Callable[[], Any]) -> tuple[list[float], Sequence[Any]]:
    times, results = [], []
    for _ in range(_BATCHES):
        started_s = time.perf_counter()
        results.append(work())
        times.append(1000 * (time.perf_counter() - started_s))
    return times, results


def _finish(queue: SqlCheckQueue, claims: Sequence[Claim]) -> bool:
    return all(queue.finish([made_up_outcome(claim) for claim in claims]))
