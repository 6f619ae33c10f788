"""SIGKILL of web processes during uploads, at named points and at random moments, and of the whole site."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit
from tests.faults.harness.client import Ledger, uploading, wait_for
from tests.faults.harness.points import UPLOAD_POINTS
from tests.faults.harness.stage import Stage, kill
from tests.support.broker import broker_server
from tests.support.forked import Command

DISPATCHES = ("thread", "internal", "external", "off", "celery")
_CHECKERS = {"external": ("checker", "serve"), "off": ("worker",), "celery": ("worker",)}
_LONGEST_S = 1.0
"""Maximum time from the last photo to a kill at a random moment; an upload takes a tenth of that."""
_WHOLE_SITE_EVERY = 5


def kill_web(
    folder: Path,
    store: EmbeddedS3,
    *,
    dispatch: str,
    at_points: int,
    at_random: int,
    between: int = 2,
    processes: int = 1,
    first: int = 0,
) -> Figures:
    """Kill a web process at each point in turn, then at random; every fifth random kill is of the whole site.

    Args:
        between: number of photos acknowledged between two kills, so that each kill hits a working site.
        processes: number of web processes; with several, uploads continue while one is replaced.
        first: index of the first point.
    """
    chance, figures, ledger = random.Random(0), Figures(), Ledger()
    kills = {"at points": 0, "at random": 0, "of the whole site": 0}
    settings: dict[str, Any] = {"CATCHECK_DISPATCH": dispatch, "CATLOADER_WEB_PROCESSES": processes}
    with ExitStack() as parts:
        if dispatch == "celery":
            settings["CATCHECK_BROKER_URL"] = parts.enter_context(broker_server()).url
        stage = parts.enter_context(Stage(folder, store, **settings))
        site = stage.serve()
        if dispatch in _CHECKERS:
            stage.start(*_CHECKERS[dispatch])
        with uploading(stage.url, ledger):
            for number in range(first, first + at_points):
                point = UPLOAD_POINTS[number % len(UPLOAD_POINTS)]
                if not wait_for(ledger, between):
                    figures.broken.append(f"no upload succeeds before the kill {point}")
                    break
                if stage.die_at(point):
                    kills["at points"] += 1
                else:
                    figures.broken.append(f"the point {point} was not reached")
            for number in range(1, at_random + 1):
                if not wait_for(ledger, between):
                    figures.broken.append("no upload succeeds after a kill")
                    break
                time.sleep(chance.uniform(0, _LONGEST_S))
                if number % _WHOLE_SITE_EVERY:
                    _kill_process(stage, site, chance)
                    kills["at random"] += 1
                else:
                    kill(site)
                    site = stage.serve()
                    kills["of the whole site"] += 1
            if not wait_for(ledger, between):
                figures.broken.append("no upload succeeds after the last kill")
        figures.counts = {f"kills {what}": count for what, count in kills.items()}
        return audit(stage, ledger, figures)


def _kill_process(stage: Stage, site: Command, chance: random.Random) -> None:
    if running := stage.web_processes(site):
        kill(chance.choice(running))
