"""The engine ``local``: threads of this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import Any

from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.work import judge, prepare
from checker.interrupts import deferred_interrupt
from checker.pipeline import LoadedModel
from checker.ports import Decoder, ImageSource

Rows = list[dict[str, Any]]
Done = tuple[int, Rows]


def run_local(
    units: Iterable[tuple[int, list[PlannedPhoto]]],
    source: ImageSource,
    decode: Decoder,
    model: LoadedModel,
    *,
    workers: int,
    batch_photos: int,
) -> Iterator[Done]:
    """Yield the results of each unit, in order.

    A unit is classified when the caller asks for it, that is, after the caller has written the previous
    units. A process that is killed loses the inferences of one unit at most, whatever its number of threads;
    photos of the next units are fetched and decoded meanwhile.

    Two threads for each worker: while one waits for the store, the other computes. Memory in addition to the
    model: the micro-batch of each thread, as in ``checker.workers``, and two units for each thread.

    Raises:
        CheckerError: the store, the decoders or the model failed.
    """

    def check(place: int, batch: list[PlannedPhoto]) -> Rows:
        prepared = prepare(batch, source, decode, model.classifier.preprocessing)
        return judge(prepared, model, batch, batch_photos) if turns.wait_for(place) else []

    def submit(unit: int, photos: list[PlannedPhoto]) -> tuple[int, list[Future[Rows]]]:
        place = next(places)
        batches = [photos[first : first + batch_photos] for first in range(0, len(photos), batch_photos)]
        with deferred_interrupt():
            return unit, [pool.submit(check, place, batch) for batch in batches]

    threads = 2 * workers
    turns, places, rest = _Turns(), count(), iter(units)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="bulk")
    try:
        waiting = deque(submit(*unit) for unit in islice(rest, 2 * threads))
        while waiting:
            unit, batches = waiting.popleft()
            with deferred_interrupt():
                turns.next()
            rows = [row for batch in batches for row in _result(batch)]
            waiting.extend(submit(*unit) for unit in islice(rest, 1))
            yield unit, rows
    finally:
        with deferred_interrupt():
            turns.close()
            pool.shutdown(wait=True, cancel_futures=True)


def _result(batch: Future[Rows]) -> Rows:
    with deferred_interrupt():
        return batch.result()


class _Turns:
    """The order in which units are classified: one after the other.

    No deadlock: the pool starts micro-batches in the order of their units, so all micro-batches of the
    current unit are running or done when one of a later unit begins.
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

    def wait_for(self, place: int) -> bool:
        """Wait for the turn of the unit with this index (from 0); False: it will not come."""
        with self._changed:
            self._changed.wait_for(lambda: place < self._begun or self._closed)
            return not self._closed

    def close(self) -> None:
        """End all waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
