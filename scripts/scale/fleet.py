"""Worker processes on one PostgreSQL: the rate from claim to verdict, with a model that only sleeps."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import numpy as np

from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import Engine, make_engine, utcnow
from catloader.store.db.migrate import migrate
from catloader.store.db.testing import fill, made_up_outcome
from checker.errors import CheckerError
from checker.pipeline import LoadedModel
from checker.service import CheckerService
from checker.values import (
    INPUTS_PER_PHOTO,
    Activations,
    Claim,
    Decision,
    Evidence,
    ModelInfo,
    Pixels,
    Rendition,
)
from models.catalogue import Preprocessing, entry_named

BATCH_PHOTOS = 4
_LEASE_S = 30.0
_PX = 8
"""Side of the synthetic inputs; small, because decoding is not measured."""


class Rate(NamedTuple):
    """The rate and times of one fleet."""

    workers: int
    photos: int
    photos_per_s: float
    batch_ms: float
    """Time of a micro-batch in a worker, including the model, claims, verdicts and log rows."""


def queue_of(engine: Engine) -> SqlCheckQueue:
    """Return the queue with the site's usual limits."""
    return SqlCheckQueue(engine, lease_s=_LEASE_S, max_attempts=5, backoff_s=15.0)


def new_table(url: str, rows: int, pending: int) -> None:
    """Make the tables of a new database and fill them with ``rows`` photos of one owner."""
    engine = make_engine(url)
    migrate(engine)
    owner = Users(engine).create("owner@example.org", "no hash", utcnow())
    fill(url, owner.id, rows, pending)
    engine.dispose()


class _SleepingModel:
    """A model that sleeps for ``seconds`` per micro-batch and uses no processor time."""

    model_info = ModelInfo("none", 64 * "0", "torch", "fp32", "cpu", {})
    preprocessing: Preprocessing = entry_named("efficientnet_lite0").preprocessing

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def run(self, batch: Pixels) -> Activations:
        time.sleep(self._seconds)
        values = np.zeros((len(batch), 1, 1), np.float32)
        return Activations(values, values)

    def close(self) -> None:
        pass


class _OneDecision:
    """Returns the same decision for every photo."""

    def decide(self, evidence: Evidence) -> Decision:
        del evidence
        decision = made_up_outcome(Claim(0, "", "", "", 1)).decision
        assert decision is not None
        return decision


class _NoBytes:
    """A store in which every photo is empty."""

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        del claim, rendition
        return b""


class _WithoutDigests(SqlCheckQueue):
    """Returns claims without digests, so that the empty bytes are not compared."""

    def claim(self, limit: int) -> list[Claim]:
        claims = super().claim(limit)
        return [
            Claim(claim.photo_id, claim.token, claim.photo_key, claim.thumbnail_key, claim.attempt)
            for claim in claims
        ]


def _blank(
    photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
) -> Iterator[Pixels | CheckerError]:
    del preprocessing
    for _ in photos:
        yield np.zeros((INPUTS_PER_PHOTO, _PX, _PX, 3), np.uint8)


def _work(
    url: str, seconds: float, start: Barrier, results: multiprocessing.Queue[tuple[int, float, float]]
) -> None:
    """Check until no photo is due; this is the entry point of a worker process."""
    engine = make_engine(url, connections=4)
    queue = _WithoutDigests(engine, lease_s=_LEASE_S, max_attempts=5, backoff_s=15.0)
    checker = CheckerService(
        queue,
        _NoBytes(),
        lambda: LoadedModel(_SleepingModel(seconds), _OneDecision()),
        decode=_blank,
        workers=1,
        batch_photos=BATCH_PHOTOS,
    )
    queue.next_due_s()  # opens a connection, which is not timed
    start.wait()
    begun_s = time.time()
    finished = checker.drain()
    results.put((finished, begun_s, time.time()))
    checker.close()
    engine.dispose()


def rate(url: str, workers: int, photos: int, batch_s: float) -> Rate:
    """Check all waiting photos of the table in the given number of processes.

    Raises:
        RuntimeError: not every photo got exactly one verdict, so that the rate has no meaning.
    """
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(workers)
    results: multiprocessing.Queue[tuple[int, float, float]] = context.Queue()
    processes = [context.Process(target=_work, args=(url, batch_s, start, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    reports = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    if sum(finished for finished, _, _ in reports) != photos:
        raise RuntimeError(f"{sum(report[0] for report in reports)} of {photos} photos got a verdict.")
    took_s = max(end for _, _, end in reports) - min(begun for _, begun, _ in reports)
    busy_s = sum(end - begun for _, begun, end in reports)
    return Rate(workers, photos, photos / took_s, 1000 * busy_s * BATCH_PHOTOS / photos)


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """Yield an engine and close its connections."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()
