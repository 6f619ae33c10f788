"""A database that is locked for a while, and PostgreSQL restarted under load."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import SETTLED_S, Figures, audit, wait_until_checked
from tests.faults.harness.client import Ledger, uploading, wait_for
from tests.faults.harness.stage import Stage, kill
from tests.support.machine import busy_factor
from tests.support.postgres import server

_HEALTHY_S = 10.0
_KILL_EVERY = 4
_AWAY_S = 3.0
"""Time without PostgreSQL; long enough for a checker to start."""


def lock_sqlite(folder: Path, store: EmbeddedS3, *, seconds: float) -> Figures:
    """Hold SQLite's write lock during uploads and checks. Uploads must work ten seconds after it ends."""
    figures, ledger = Figures(counts={"seconds": round(seconds)}), Ledger()
    with Stage(folder, store, CATCHECK_DISPATCH="thread") as stage:
        stage.serve()
        with uploading(stage.url, ledger):
            wait_for(ledger, 5)
            path = folder / "data" / "catloader.sqlite3"
            with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as other:
                other.execute("BEGIN IMMEDIATE")
                time.sleep(seconds)
                other.execute("ROLLBACK")
            limit_s = _HEALTHY_S * busy_factor()
            if not wait_for(ledger, 3, limit_s):
                figures.broken.append(f"no uploads {limit_s:.0f} s after the lock was gone")
        _note_answers(figures, ledger)
        return audit(stage, ledger, figures)


def restart_postgres(folder: Path, store: EmbeddedS3, *, times: int) -> Figures:
    """Restart the server during uploads and checks. At every fourth restart a checker is replaced, too."""
    figures, ledger = Figures(counts={"restarts": times}), Ledger()
    slowest_s = 0.0
    with server() as postgres, Stage(folder, store, DATABASE_URL=postgres.url) as stage:
        stage.serve()
        checker = stage.start("worker")
        with uploading(stage.url, ledger), stage.services() as services:
            for number in range(1, times + 1):
                wait_for(ledger, 4)
                postgres.stop()
                if number % _KILL_EVERY == 1:
                    kill(checker)
                    checker = stage.start("worker")  # it has to wait for the database
                time.sleep(_AWAY_S)
                postgres.start()
                begun_s = time.monotonic()
                if not wait_for(ledger, 1):
                    figures.broken.append("no upload succeeds after a restart")
                slowest_s = max(slowest_s, time.monotonic() - begun_s)
            services.engine.dispose()
        if slowest_s > _HEALTHY_S * busy_factor():
            figures.broken.append(f"uploads worked {slowest_s:.1f} s after a restart")
        _note_answers(figures, ledger)
        with stage.services() as services:
            if wait_until_checked(services.engine) >= SETTLED_S:
                figures.broken.append("photos are never checked")
        return audit(stage, ledger, figures)


def _note_answers(figures: Figures, ledger: Ledger) -> None:
    figures.counts["refused"] = ledger.answers[503]
    if others := {status: count for status, count in ledger.answers.items() if status not in (201, 503)}:
        figures.broken.append(f"other answers to uploads: {others}")
