"""SIGSTOP of a checker for longer than its lease, then SIGCONT, while another checker runs.

The database is PostgreSQL. A process that is stopped inside a transaction would hold SQLite's only lock, and
no other process could write until it continues or ends.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit, wait_until_checked
from tests.faults.harness.client import Ledger, Person
from tests.faults.harness.points import CHECK_POINTS, STOP
from tests.faults.harness.stage import Stage
from tests.support.postgres import server

_PHOTOS = 6
_LEASE_S = 1.0
_SWEEP_S = 0.5
_BACK_WITHIN_S = 60.0
"""The lease, a sweep, the checks, and the 15 s after which PostgreSQL ends an idle transaction."""


def stop_checkers(folder: Path, store: EmbeddedS3, *, times: int) -> Figures:
    """Stop the first checker that reaches a point; continue it after the other has checked all photos."""
    figures, ledger = Figures(counts={"stops": times}), Ledger()
    with (
        server() as postgres,
        Stage(
            folder,
            store,
            DATABASE_URL=postgres.url,
            CATCHECK_LEASE_S=_LEASE_S,
            CATCHECK_SWEEP_S=_SWEEP_S,
            CATCHECK_WORKERS=1,
        ) as stage,
        stage.services() as services,
    ):
        stage.serve()
        person = Person(stage.url, ledger)
        for _ in range(2):
            stage.start("worker")
        for number in range(times):
            person.upload_all(_PHOTOS // 2)
            point = CHECK_POINTS[number % len(CHECK_POINTS)]
            wait_until_checked(services.engine)
            stage.arm(STOP + point)
            person.upload_all(_PHOTOS)
            if not stage.reached():
                figures.broken.append(f"the point {point} was not reached")
            took_s = wait_until_checked(services.engine, _BACK_WITHIN_S)
            if took_s >= _BACK_WITHIN_S:
                figures.broken.append(f"photos of a stopped checker are still claimed ({point})")
            for process in stage.stopped():
                process.send_signal(signal.SIGCONT)
            time.sleep(_SWEEP_S)
        return audit(stage, ledger, figures)
