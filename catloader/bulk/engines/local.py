"""The engine ``local``: threads of this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any

from catloader.bulk.engines.work import judge, prepare
from catloader.bulk.kept.keeper import Keeper
from catloader.bulk.manifest import PlannedPhoto
from checker.pipeline import LoadedModel
from checker.ports import Decoder, ImageSource
from checker.process.interrupts import deferred_interrupt

Rows = list[dict[str, Any]]
Unit = tuple[int, list[PlannedPhoto]]
"""Its number and its photos."""
Done = tuple[int, Rows]
Batches = list[Future[Rows]]
"""The micro-batches of a submitted unit."""


def run_local(units: Iterable[Unit], pool: UnitPool) -> Iterator[Done]:
    """Yield the results of each unit, in order; close the pool.

    A unit is classified only when the caller asks for its results, which is after the caller has written the
    previous units. So a process that is killed loses the inferences of at most one unit, however many threads
    it has. The photos of the next units are fetched and decoded meanwhile.

    Memory: in addition to the pool's, two units for each thread.

    Raises:
        CheckerError: the store, the decoders or the model failed.
    """
    rest = iter(units)
    try:
        waiting = deque((unit, pool.submit(photos)) for unit, photos in islice(rest, 2 * pool.threads))
        while waiting:
            unit, batches = waiting.popleft()
            rows = pool.classify(batches)
            waiting.extend((unit, pool.submit(photos)) for unit, photos in islice(rest, 1))
            yield unit, rows
    finally:
        pool.close()


class UnitPool:
    """Threads that take units from fetch to decision, one unit after the other.

    There are two threads for each worker: while one waits for the store, the other computes. Memory in
    addition to the model: the micro-batch of each thread, as in ``checker.workers``.
    """

    def __init__(
        self,
        source: ImageSource,
        decode: Decoder,
        model: LoadedModel,
        *,
        workers: int,
        batch_photos: int,
        keeper: Keeper | None = None,
    ) -> None:
        """``keeper`` is required for a plan of labelled photos."""
        self._source, self._decode, self._model, self._keeper = source, decode, model, keeper
        self._batch_photos = batch_photos
        self.threads = 2 * workers
        self._turns, self._indices = _Turns(), count()
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="bulk")

    def submit(self, photos: Sequence[PlannedPhoto]) -> Batches:
        """Queue a unit; free threads fetch and decode it before its turn to be classified."""
        index, size = next(self._indices), self._batch_photos
        batches = [photos[first : first + size] for first in range(0, len(photos), size)]
        with deferred_interrupt():
            return [self._pool.submit(self._check, index, batch) for batch in batches]

    def classify(self, batches: Batches) -> Rows:
        """Return the results of a unit; units are classified in the order in which they were submitted.

        Raises:
            CheckerError: the store, the decoders or the model failed.
        """
        with deferred_interrupt():
            self._turns.next()
        return [row for batch in batches for row in _result(batch)]

    def close(self) -> None:
        """End the threads once their current micro-batches are done."""
        with deferred_interrupt():
            self._turns.close()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _check(self, index: int, batch: Sequence[PlannedPhoto]) -> Rows:
        preprocessing = self._model.classifier.preprocessing
        prepared = prepare(batch, self._source, self._decode, preprocessing, self._keeper)
        return judge(prepared, self._model, batch, self._keeper) if self._turns.wait_for(index) else []


def _result(batch: Future[Rows]) -> Rows:
    with deferred_interrupt():
        return batch.result()


class _Turns:
    """The order in which units are classified: one after the other.

    There is no deadlock: the pool starts micro-batches in the order of their units, so all micro-batches of
    the current unit are running or done when a micro-batch of a later unit begins.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = 0
        """Number of units whose turn has come."""
        self._closed = False

    def next(self) -> None:
        """Let one more unit be classified."""
        with self._changed:
            self._begun += 1
            self._changed.notify_all()

    def wait_for(self, index: int) -> bool:
        """Wait for the turn of the unit with this index (from 0); return False if it will not come."""
        with self._changed:
            self._changed.wait_for(lambda: index < self._begun or self._closed)
            return not self._closed

    def close(self) -> None:
        """Wake all threads that wait for a turn, which will not come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
