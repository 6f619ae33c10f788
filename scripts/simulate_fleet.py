"""Simulate large fleets with the service times that were measured on small ones.

Photos arrive at random (Poisson), are stored by the web processes, recorded by the database and checked in
micro-batches by workers. First the simulation is compared with the fleets that `benchmark_scale.py` measured:
the time of a micro-batch without the model is taken from the fleet of one worker, and the rates of the other
fleets are predicted. The times of an upload and of a check come from the files `upload-KIND.json` and
`pipeline-lite0-KIND.json` in the same folder, unless options give other times.

    python scripts/simulate_fleet.py scripts/results/scale-KIND.json [--photos-per-day N --workers N ...]

Exit code 1: the simulation is more than 15 % away from a measured fleet, or the fleet can't keep up.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import scripts  # noqa: F401 - first: finds the packages without an installation
from checker.plurals import counted
from scripts.command_line import CannotRun, existing_file, number, report_errors, require
from scripts.scale.service_times import photo_ms_beside, upload_ms_beside

if TYPE_CHECKING:
    import simpy

NEAR = 0.15
_BATCH_PHOTOS = 4
_BATCHES = 200
"""Number of micro-batches of each worker for measuring a rate."""
_DAY_S = 86_400.0
_PEAK = 3.0
"""Photos of the busiest hour, as a multiple of the day's mean."""
_BUSIEST = 0.9
"""A part with a higher utilisation has no reserve for unexpected load."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The parts of a fleet; each has a number of places, and a time for one photo or micro-batch."""

    photos_per_s: float
    web: int
    """Concurrent uploads in all web processes."""
    upload_s: float
    database: int
    """Cores of PostgreSQL."""
    batch_database_s: float
    """Core time of the database for a micro-batch: claim, begin, verdicts, log rows."""
    workers: int
    batch_s: float
    """Time of a micro-batch in a worker, without the database."""


@dataclass(slots=True)
class Result:
    """The result of a simulated fleet."""

    busy: dict[str, float]
    """Part -> mean share of its places that were in use."""
    checked: int
    waited_s: list[float]
    """Seconds from the upload to the verdict, in ascending order."""

    @property
    def first_to_break(self) -> str:
        return max(self.busy, key=lambda part: self.busy[part])


def fleet_rate(workers: int, model_s: float, own_s: float, cores: int) -> float:
    """Return the photos per second of workers that always have work, as in `benchmark_scale.py`.

    Args:
        own_s: core time of a micro-batch without the model, of worker and database together.
        cores: number of cores that workers and database share.
    """
    import simpy

    world = simpy.Environment()
    shared = simpy.Resource(world, cores)

    def work() -> Generator[Any, Any, None]:
        for _ in range(_BATCHES):
            with shared.request() as turn:
                yield turn
                yield world.timeout(own_s)
            yield world.timeout(model_s)

    for _ in range(workers):
        world.process(work())
    world.run()
    return workers * _BATCHES * _BATCH_PHOTOS / float(world.now)


def compared(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return simulated and measured rates of the fleets with more than one worker."""
    model_s = results["batch_ms"] / 1000
    single = next(fleet for fleet in results["fleets"] if fleet["workers"] == 1)
    own_s = max(0.0, _BATCH_PHOTOS / single["photos_per_s"] - model_s)
    rows = []
    for fleet in results["fleets"]:
        if fleet["workers"] > 1:
            rate = fleet_rate(fleet["workers"], model_s, own_s, results["machine"]["cores"])
            rows.append(
                {
                    "workers": fleet["workers"],
                    "measured": fleet["photos_per_s"],
                    "simulated": round(rate, 1),
                    "off": round(rate / fleet["photos_per_s"] - 1, 3),
                }
            )
    return rows


def simulate(fleet: Fleet, seconds: float) -> Result:
    """Simulate arrivals and checks for the given time; photos that still wait at its end are not counted."""
    import simpy

    random_times = random.Random(1)
    world = simpy.Environment()
    web, database = simpy.Resource(world, fleet.web), simpy.Resource(world, fleet.database)
    queue: simpy.Store = simpy.Store(world)
    used = dict.fromkeys(("web", "database", "workers"), 0.0)
    waited: list[float] = []

    def upload() -> Generator[Any, Any, None]:
        arrived_s = float(world.now)
        with web.request() as place:
            yield place
            yield world.timeout(fleet.upload_s)
            used["web"] += fleet.upload_s
        yield queue.put(arrived_s)

    def arrivals() -> Generator[Any, Any, None]:
        while world.now < seconds:
            yield world.timeout(random_times.expovariate(fleet.photos_per_s))
            world.process(upload())

    def work() -> Generator[Any, Any, None]:
        while True:
            batch = [(yield queue.get())]
            while len(queue.items) and len(batch) < _BATCH_PHOTOS:
                batch.append((yield queue.get()))
            begun_s = float(world.now)
            with database.request() as place:
                yield place
                yield world.timeout(fleet.batch_database_s)
                used["database"] += fleet.batch_database_s
            yield world.timeout(fleet.batch_s * len(batch) / _BATCH_PHOTOS)
            now_s = float(world.now)
            used["workers"] += now_s - begun_s
            waited.extend(now_s - arrived_s for arrived_s in batch)

    world.process(arrivals())
    for _ in range(fleet.workers):
        world.process(work())
    world.run(until=seconds)
    places = {"web": fleet.web, "database": fleet.database, "workers": fleet.workers}
    busy = {part: min(1.0, time_s / (places[part] * seconds)) for part, time_s in used.items()}
    return Result(busy, len(waited), sorted(waited))


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=existing_file, help="result of `benchmark_scale.py --json`")
    parser.add_argument("--photos-per-day", type=number(float, 1, 1e12), default=1e6)
    parser.add_argument(
        "--uploads-at-once", type=number(int, 1, 100_000), default=16, help="uploads in all web processes"
    )
    parser.add_argument("--upload-ms", type=number(float, 0.001, 1e6), help="time of a POST")
    parser.add_argument("--database-cores", type=number(int, 1, 10_000), default=4)
    parser.add_argument(
        "--workers", type=number(int, 1, 100_000), default=4, help="threads that check, in all workers"
    )
    parser.add_argument("--photo-ms", type=number(float, 0.001, 1e6), help="time of a thread for one photo")
    parser.add_argument(
        "--seconds", type=number(float, 1, 86_400), default=600.0, help="length of the simulation"
    )
    arguments = parser.parse_args(argv)
    require("simpy")
    try:
        results = json.loads(arguments.measured.read_text("utf-8"))
        rows = compared(results)
        batch_database_s = (results["tables"][0]["claim_ms"] + results["tables"][0]["finish_ms"]) / 1000
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise CannotRun(f"{arguments.measured} is not a result of benchmark_scale.py") from error
    upload_ms = arguments.upload_ms or upload_ms_beside(arguments.measured)
    photo_ms = arguments.photo_ms or photo_ms_beside(arguments.measured)
    for row in rows:
        print(
            f"{counted(row['workers'], 'worker')}: measured {row['measured']:.1f} photos/s, "
            f"simulated {row['simulated']:.1f} ({100 * row['off']:+.1f} %)"
        )
    fleet = Fleet(
        photos_per_s=_PEAK * arguments.photos_per_day / _DAY_S,
        web=arguments.uploads_at_once,
        upload_s=upload_ms / 1000,
        database=arguments.database_cores,
        batch_database_s=batch_database_s,
        workers=arguments.workers,
        batch_s=_BATCH_PHOTOS * photo_ms / 1000,
    )
    result = simulate(fleet, arguments.seconds)
    busy = ", ".join(f"{part} {100 * share:.0f} %" for part, share in result.busy.items())
    print(
        f"{arguments.photos_per_day:.0f} photos a day, {fleet.photos_per_s:.1f}/s in the busiest hour: "
        f"{busy}."
    )
    if result.waited_s:
        half, most = (result.waited_s[int(share * len(result.waited_s))] for share in (0.5, 0.95))
        print(f"From upload to verdict: half within {half:.2f} s, 95 % within {most:.2f} s.")
    near = all(abs(row["off"]) <= NEAR for row in rows)
    keeps_up = max(result.busy.values()) < _BUSIEST
    if not keeps_up:
        print(f"It can't keep up: {result.first_to_break} breaks first.")
    return 0 if near and keeps_up else 1


if __name__ == "__main__":
    sys.exit(main())
