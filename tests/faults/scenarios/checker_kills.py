"""SIGKILL of the checker at named points and at random moments, and SIGKILL of its decoding processes."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path

import psutil

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit, waiting
from tests.faults.harness.client import Ledger, Person, upload_together
from tests.faults.harness.points import CHECK_POINTS
from tests.faults.harness.stage import Stage, kill

_LONGEST_S = 1.5
"""Maximum time between the first photo of a checker and its kill at a random moment."""
_START_S = 60.0
_FEW = 5
_CHECK_S = 0.3
"""Time to check one photo on a busy machine, if photos are checked one at a time."""
_PEOPLE = 3


def kill_checker(folder: Path, store: EmbeddedS3, *, at_points: int, at_random: int, spare: int) -> Figures:
    """Kill checkers while they work on a backlog of one photo for each kill and ``spare`` more."""
    chance, figures, ledger = random.Random(0), Figures(), Ledger()
    kills = at_points + at_random
    with (
        # One photo at a time, so that a kill costs at most one extra inference and not a whole micro-batch.
        Stage(folder, store, CATCHECK_WORKERS=1, CATCHECK_BATCH_PHOTOS=1) as stage,
        stage.services() as services,
    ):
        stage.serve()
        people = [Person(stage.url, ledger) for _ in range(_PEOPLE)]
        upload_together(people, [-(-(kills + spare) // _PEOPLE)] * _PEOPLE)
        for number in range(at_points):
            point = CHECK_POINTS[number % len(CHECK_POINTS)]
            checker = stage.start("worker")
            if not stage.die_at(point, _START_S):
                figures.broken.append(f"the point {point} was not reached")
            kill(checker)
        for _ in range(at_random):
            checker, before = stage.start("worker"), waiting(services.engine)
            end_s = time.monotonic() + _START_S
            while waiting(services.engine) >= before and time.monotonic() < end_s:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, _LONGEST_S))
            kill(checker)
            if waiting(services.engine) < _FEW:
                people[0].upload_all(_FEW)
        stage.start("worker")
        figures.counts = {"kills at points": at_points, "kills at random": at_random}
        audit(stage, ledger, figures, backlog_s=_CHECK_S * waiting(services.engine))
    if figures.extra_inferences > kills:
        figures.broken.append(f"{figures.extra_inferences} extra inferences for {kills} kills")
    return figures


def kill_decoders(folder: Path, store: EmbeddedS3, *, times: int) -> Figures:
    """Kill the decoding children of the checker during their work. No photo may be blamed for it."""
    chance, figures, ledger = random.Random(0), Figures(), Ledger()
    killed = 0
    with Stage(folder, store) as stage, stage.services() as services:
        stage.serve()
        person = Person(stage.url, ledger)
        person.upload_all(4)
        checker = psutil.Process(stage.start("worker").pid)
        while killed < times:
            if waiting(services.engine) < 8:
                person.upload_all(8)
            # The checker's only child is the process that forks the decoding children.
            with suppress(psutil.NoSuchProcess):
                children = [child for server in checker.children() for child in server.children()]
                if children:
                    chance.choice(children).kill()
                    killed += 1
            time.sleep(chance.uniform(0, 0.1))
        figures.counts = {"kills of decoding children": killed}
        audit(stage, ledger, figures)
    return figures
