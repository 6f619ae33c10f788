"""Turns of the pipeline benchmark: the seconds that so many photos took, and whose time it was."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from catloader.settings import Settings
from catloader.store.db.engine import utcnow
from catloader.store.db.rechecks import RecheckFilter, Rechecks
from checker.pipeline import LoadedModel, check_batch
from checker.testing import InMemoryImageSource
from checker.values import Claim
from scripts.pipeline.sites import Site, Stored

if TYPE_CHECKING:
    import psutil  # of requirements-bench.txt: the script must start without it, and say so


class Turn(NamedTuple):
    photos_per_s: float
    process_core_ms: float
    """For each photo, as the next one."""
    store_core_ms: float
    idle_core_ms: float
    """Of all cores: nobody had anything to do on them."""
    load: float


def _turn(work: Callable[[], int], wanted: int) -> Turn:
    """
    Raises:
        RuntimeError: not every photo got its verdict; a rate would mean nothing.
    """
    import psutil

    ours = psutil.Process()
    processes = [ours, next(child for child in ours.children() if child.name() == "weed")]
    before_idle_s, before_s = psutil.cpu_times().idle, [_core_s(process) for process in processes]
    started_s = time.perf_counter()
    finished = work()
    took_s = time.perf_counter() - started_s
    idle_s = psutil.cpu_times().idle - before_idle_s
    own_s, store_s = (_core_s(now) - then_s for now, then_s in zip(processes, before_s, strict=True))
    if finished != wanted:
        raise RuntimeError(f"{finished} of {wanted} photos got a verdict.")
    each = 1000 / wanted
    return Turn(wanted / took_s, own_s * each, store_s * each, idle_s * each, os.getloadavg()[0])


def _core_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def classify(loaded: LoadedModel, photos: Sequence[Stored], settings: Settings) -> Turn:
    """The classifier's own work: these photos from memory."""
    claims = [
        Claim(number, "", photo.new.photo_key, photo.new.thumbnail_key, 1)
        for number, photo in enumerate(photos)
    ]
    source = InMemoryImageSource()
    for claim, photo in zip(claims, photos, strict=True):
        source.put(claim, photo.pictures)
    size = settings.batch_photos
    batches = [claims[first : first + size] for first in range(0, len(claims), size)]

    def work() -> int:
        with ThreadPoolExecutor(settings.workers) as pool:
            done = pool.map(lambda batch: check_batch(batch, source, *loaded), batches)
            return sum(outcome.decision is not None for outcomes in done for outcome in outcomes)

    return _turn(work, len(photos))


def drain(here: Site, photos: int, since: datetime) -> Turn:
    """All photos checked ``since`` then are set back, as by the site's own command, and checked again."""
    if Rechecks(here.services.engine).requeue(RecheckFilter(since=since), utcnow()) != photos:
        raise RuntimeError("Other photos than those with pictures would be checked, too.")
    return _turn(here.checker.drain, photos)


def compare(turns: Mapping[str, Callable[[], Turn]], rounds: int) -> dict[str, list[Turn]]:
    """Each in its turn, after one that is not counted; each is the first as often as the others."""
    found: dict[str, list[Turn]] = {name: [] for name in turns}
    order = list(turns.items())
    for number in range(rounds + 1):
        for name, turn in order[number % len(order) :] + order[: number % len(order)]:
            took = turn()
            if number:
                found[name].append(took)
    return found
