"""The cost of claims and verdicts, by the number of finished rows and of dead ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from statistics import median
from typing import Any

from catloader.store.db.engine import Engine
from catloader.store.db.queue import SqlCheckQueue
from catloader.store.db.testing import leave_dead_rows, made_up_outcome, old_snapshot
from checker.values import Claim
from scripts.scale.fleet import BATCH_PHOTOS, queue_of

_ROUNDS = 300


def costs(engine: Engine) -> dict[str, Any]:
    """Claim and finish ``_ROUNDS`` micro-batches; return milliseconds, medians but for the first claim."""
    queue = queue_of(engine)
    queue.next_due_s()  # connected
    claim_ms, batches = _timed(lambda: queue.claim(BATCH_PHOTOS))
    if sum(map(len, batches)) < _ROUNDS * BATCH_PHOTOS:
        raise RuntimeError("too few photos wait: an empty claim costs less")
    rest = iter(batches)
    finish_ms, written = _timed(lambda: _finish(queue, next(rest)))
    if not all(written):
        raise RuntimeError("A verdict was not written.")
    return {
        "claim_ms": round(median(claim_ms), 2),
        "claim_p95_ms": round(sorted(claim_ms)[int(0.95 * len(claim_ms))], 2),
        "first_claim_ms": round(claim_ms[0], 2),
        "finish_ms": round(median(finish_ms), 2),
    }


def costs_among_dead_rows(engine: Engine, dead: int, *, kept: bool = False) -> dict[str, Any]:
    """As ``costs``, right after so many row versions have died in the queue and before they are cleaned.

    Args:
        kept: an old transaction may still look at them, so that PostgreSQL has to keep them.
    """
    with old_snapshot(engine) if kept else nullcontext():
        dead = leave_dead_rows(engine, dead)
        return {"dead_rows": dead, **costs(engine)}


def _timed(work: Callable[[], Any]) -> tuple[list[float], Sequence[Any]]:
    times, results = [], []
    for _ in range(_ROUNDS):
        started_s = time.perf_counter()
        results.append(work())
        times.append(1000 * (time.perf_counter() - started_s))
    return times, results


def _finish(queue: SqlCheckQueue, claims: Sequence[Claim]) -> bool:
    return all(queue.finish([made_up_outcome(claim) for claim in claims]))
