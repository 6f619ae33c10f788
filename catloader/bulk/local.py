"""The engine ``local``: threads of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.work import judge, prepare
from checker.pipeline import LoadedModel
from checker.ports import Decoder, ImageSource

Done = tuple[int, list[dict[str, Any]]]


def run_local(
    units: Iterable[tuple[int, list[PlannedPhoto]]],
    source: ImageSource,
    decode: Decoder,
    model: LoadedModel,
    *,
    workers: int,
    batch_photos: int,
) -> Iterator[Done]:
    """Yield the results of each unit, in their order.

    Two threads for each worker: while one waits for the store, the other computes. Memory beside the model:
    the micro-batch of each thread, as in ``checker.workers``, and two units for each thread.

    Raises:
        CheckerError: the store, the decoders or the model failed.
    """

    def check(unit: int, photos: list[PlannedPhoto]) -> Done:
        rows = []
        for first in range(0, len(photos), batch_photos):
            batch = photos[first : first + batch_photos]
            prepared = prepare(batch, source, decode, model.classifier.preprocessing)
            rows += judge(prepared, model, batch, batch_photos)
        return unit, rows

    threads = 2 * workers
    rest = iter(units)
    with ThreadPoolExecutor(threads, thread_name_prefix="bulk") as pool:
        waiting: deque[Future[Done]] = deque(pool.submit(check, *unit) for unit in islice(rest, 2 * threads))
        try:
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(check, *unit) for unit in islice(rest, 1))
                yield done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
