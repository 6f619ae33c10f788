"""The queue of a checker, with metrics for ``/metrics``."""

from __future__ import annotations

from collections.abc import Sequence

from catloader.metrics import Metrics
from checker.ports import CheckQueue
from checker.tally import kind_of
from checker.values import Claim, Outcome


class MeasuredQueue:
    """Implements ``checker.ports.CheckQueue`` by delegating to another queue."""

    def __init__(self, queue: CheckQueue, metrics: Metrics) -> None:
        self._queue, self._metrics = queue, metrics
        self.begin, self.renew = queue.begin, queue.renew
        self.release, self.next_due_s = queue.release, queue.next_due_s
        self.lease_s = queue.lease_s

    def claim(self, limit: int) -> Sequence[Claim]:
        claims = self._queue.claim(limit)
        for claim in claims:
            self._metrics.queue_s.observe(claim.waited_s)
        return claims

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool]:
        written = self._queue.finish(outcomes)
        for outcome, is_written in zip(outcomes, written, strict=True):
            if is_written:
                self._count(outcome)
        return written

    def _count(self, outcome: Outcome) -> None:
        model = outcome.model_info.model if outcome.model_info else "none"
        self._metrics.photos_checked.labels(kind_of(outcome), model).inc()
        if "classify" in outcome.ms:
            self._metrics.inference_s.observe(outcome.ms["classify"] / 1000)
