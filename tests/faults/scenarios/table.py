"""All scenarios, with the counts of the full run and of the short run in ``make test``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures
from tests.faults.harness.points import UPLOAD_POINTS
from tests.faults.scenarios.checker_kills import kill_checker, kill_decoders
from tests.faults.scenarios.clocks import set_clock_of_running_site, set_clocks_wrong
from tests.faults.scenarios.databases import lock_sqlite, restart_postgres
from tests.faults.scenarios.deletions import delete_accounts, delete_one_account
from tests.faults.scenarios.full_disks import fill_disks
from tests.faults.scenarios.stopped_checkers import stop_checkers
from tests.faults.scenarios.store_outages import MODES, outage
from tests.faults.scenarios.terminations import terminate
from tests.faults.scenarios.two_sites import kill_sites
from tests.faults.scenarios.wake_ups import repeat_wake_ups
from tests.faults.scenarios.web_kills import DISPATCHES, kill_web

Run = Callable[..., Figures]
_NOT_SCALED = {"between", "checkers", "deliveries", "processes", "seconds"}


@dataclass(frozen=True)
class Scenario:
    """One fault."""

    name: str
    run: Run
    full: Mapping[str, float] | None
    short: Mapping[str, float] | None
    """None if the short run of another scenario includes this fault."""
    needs_postgres: bool = False

    def measured(self, folder: Path, store: EmbeddedS3, counts: Mapping[str, float]) -> Figures:
        """Run the scenario in an empty folder with these counts."""
        begun_s = time.monotonic()
        figures = self.run(folder, store, **counts)
        figures.seconds = round(time.monotonic() - begun_s, 1)
        return figures

    def scaled(self, scale: float) -> dict[str, float]:
        """Return the counts of the full run multiplied by ``scale``, at least 1. Durations are not scaled."""
        return {
            name: count if name in _NOT_SCALED else max(1, round(count * scale))
            for name, count in (self.full or {}).items()
        }


def _kills_of_web() -> list[Scenario]:
    """Divide the points among the ways to dispatch, so that the short runs together cover all points.

    Celery has no short run, because a thread sends its tasks like the requests of `external`.
    """
    without_broker = len(DISPATCHES) - 1
    share = -(-len(UPLOAD_POINTS) // without_broker)
    return [
        Scenario(
            f"web process killed, {dispatch}",
            partial(kill_web, dispatch=dispatch, first=number * share),
            {"at_points": 70, "at_random": 30, "between": 10, "processes": 2},
            {"at_points": share, "at_random": 1} if number < without_broker else None,
        )
        for number, dispatch in enumerate(DISPATCHES)
    ]


_OUTAGES_S = {"refused": 30.0, "silent": 60.0, "errors": 30.0, "cut": 15.0, "altered": 15.0}

SCENARIOS = (
    *_kills_of_web(),
    Scenario(
        "checker killed",
        kill_checker,
        {"at_points": 180, "at_random": 120, "spare": 2700},
        {"at_points": 6, "at_random": 1, "spare": 5},
    ),
    Scenario("decoding child killed", kill_decoders, {"times": 200}, {"times": 10}),
    Scenario("checker stopped beyond its lease", stop_checkers, {"times": 30}, {"times": 2}, True),
    *(
        Scenario(f"object store: {mode}", partial(outage, modes=[mode]), {"seconds": _OUTAGES_S[mode]}, None)
        for mode in MODES
    ),
    Scenario("object store: one after another", partial(outage, modes=MODES), None, {"seconds": 1.0}),
    Scenario(
        "wake-ups repeated",
        repeat_wake_ups,
        {"photos": 1000, "checkers": 8, "deliveries": 5},
        {"photos": 12, "checkers": 2, "deliveries": 5},
    ),
    Scenario("SQLite locked", lock_sqlite, {"seconds": 10.0}, {"seconds": 4.0}),
    Scenario("PostgreSQL restarted", restart_postgres, {"times": 20}, {"times": 1}, True),
    Scenario("one of two sites killed", kill_sites, {"times": 20}, {"times": 1, "pause_s": 0.2}, True),
    Scenario("disks full", fill_disks, {"times": 5, "seconds": 10.0}, {"times": 1, "seconds": 1.0}),
    Scenario(
        "one account deleted",
        delete_one_account,
        {"photos": 500, "kills": 50},
        {"photos": 15, "kills": 5},
    ),
    Scenario("accounts deleted", delete_accounts, {"photos": 500, "kills": 50}, None),
    Scenario("clocks wrong", set_clocks_wrong, {"photos": 20}, None, True),
    Scenario("clock of a running site set", set_clock_of_running_site, {"photos": 20}, {"photos": 2}, True),
    Scenario("SIGTERM under load", terminate, {"times": 50}, {"times": 1}),
)
