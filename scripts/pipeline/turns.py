"""Measurements of the pipeline benchmark: the rate of checks, and the core time of each process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from catloader.intake.prepare import Prepared
from catloader.settings import Settings
from catloader.store.db.checks.rechecks import RecheckFilter, Rechecks
from checker.pipeline import LoadedModel, check_batch
from checker.testing import InMemoryImageSource
from checker.values import Claim
from scripts.pipeline.sites import Site, Stored, store

if TYPE_CHECKING:
    import psutil  # from requirements-bench.txt: if it is missing, the script must start to report that

_AT_A_TIME = 200
"""Number of photos between two measurements: 15 MB of the 16 MB that a site keeps for its own checker. With
fewer photos, the cores that are idle at the end of each part would count more than in the other turns."""


class Turn(NamedTuple):
    """One measurement; core times are in milliseconds per photo."""

    photos_per_s: float
    process_core_ms: float
    """Of this process and of the children that decode."""
    store_core_ms: float
    """Of the object store."""
    idle_core_ms: float
    """Idle time of all cores."""
    load: float


def measure_turn(work: Callable[[], int], photos: int) -> Turn:
    """Measure ``work``, which returns the number of verdicts.

    Raises:
        RuntimeError: not every photo got a verdict, so that the rate has no meaning.
    """
    import psutil

    before_idle_s, before_s = psutil.cpu_times().idle, _core_s(psutil.Process())
    started_s = time.perf_counter()
    finished = work()
    took_s = time.perf_counter() - started_s
    idle_s = psutil.cpu_times().idle - before_idle_s
    own_s, store_s = (
        after - before for after, before in zip(_core_s(psutil.Process()), before_s, strict=True)
    )
    if finished != photos:
        raise RuntimeError(f"{finished} of {photos} photos got a verdict.")
    each = 1000 / photos
    return Turn(photos / took_s, own_s * each, store_s * each, idle_s * each, os.getloadavg()[0])


def _core_s(process: psutil.Process) -> tuple[float, float]:
    """Return the core time of the process and its children, including ended ones, and of the object store."""
    own_s = store_s = 0.0
    for member in (process, *process.children(recursive=True)):
        times = member.cpu_times()
        spent_s = times.user + times.system + times.children_user + times.children_system
        if member.name() == "weed":
            store_s += spent_s
        else:
            own_s += spent_s
    return own_s, store_s


def classify(loaded: LoadedModel, photos: Sequence[Stored], settings: Settings) -> Turn:
    """Check these photos from memory, to measure the classifier's own rate."""
    claims = [
        Claim(number, "", photo.new.photo_key, photo.new.thumbnail_key, 1)
        for number, photo in enumerate(photos)
    ]
    source = InMemoryImageSource()
    for claim, photo in zip(claims, photos, strict=True):
        source.put(claim, photo.renditions)
    size = settings.batch_photos
    batches = [claims[first : first + size] for first in range(0, len(claims), size)]

    def work() -> int:
        with ThreadPoolExecutor(settings.workers) as pool:
            checked = pool.map(lambda batch: check_batch(batch, source, *loaded), batches)
            return sum(outcome.decision is not None for outcomes in checked for outcome in outcomes)

    return measure_turn(work, len(photos))


def recheck(site: Site, photos: int, since: datetime) -> Turn:
    """Requeue all photos checked since ``since``, with the site's own command, and check them again."""
    if Rechecks(site.services.engine).requeue(RecheckFilter(since=since)) != photos:
        raise RuntimeError("Photos without objects would be checked too.")
    return measure_turn(site.checker.drain, photos)


def check_uploads(site: Site, prepared: Sequence[Prepared], photos: int) -> Turn:
    """Store and record new photos as an upload does, and check them in the process that stored them.

    Only the checks are timed. The photos are stored and checked in parts, because a site keeps only a limited
    amount of its uploads in memory for its own checker.
    """
    parts = []
    for first in range(0, photos, _AT_A_TIME):
        part = store(site.services.objects, prepared, min(_AT_A_TIME, photos - first))
        site.add(part)
        parts.append((len(part), measure_turn(site.checker.drain, len(part))))
    seconds = sum(number / turn.photos_per_s for number, turn in parts)

    def mean(value: Callable[[Turn], float]) -> float:
        return sum(number * value(turn) for number, turn in parts) / photos

    return Turn(
        photos / seconds,
        mean(lambda turn: turn.process_core_ms),
        mean(lambda turn: turn.store_core_ms),
        mean(lambda turn: turn.idle_core_ms),
        parts[-1][1].load,
    )


def compare(turns: Mapping[str, Callable[[], Turn]], rounds: int) -> dict[str, list[Turn]]:
    """Measure the turns alternately, in ``rounds`` rounds after an uncounted one; the order rotates."""
    taken: dict[str, list[Turn]] = {name: [] for name in turns}
    order = list(turns.items())
    for number in range(rounds + 1):
        for name, turn in order[number % len(order) :] + order[: number % len(order)]:
            measured = turn()
            if number:
                taken[name].append(measured)
    return taken
