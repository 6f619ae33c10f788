"""Sites and checkers whose clock is wrong, beside others whose clock is right, on one PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit, wait_until_checked
from tests.faults.harness.client import Ledger, Person
from tests.faults.harness.stage import Stage
from tests.support.postgres import server
from tests.support.skewed_clock import skewed_environ

OFFSETS_S = (3600, -3600, 125)
_AT_ONCE_S = 20.0
"""A check takes a second; one that was put off by a wrong clock would wait for minutes."""


def set_clocks_wrong(folder: Path, store: EmbeddedS3, *, photos: int) -> Figures:
    """Upload with a wrong clock on the checker's side, then on the site's; another checker's is right."""
    figures, ledger = Figures(counts={"clocks": len(OFFSETS_S), "photos with each": 2 * photos}), Ledger()
    with server() as postgres, Stage(folder, store, DATABASE_URL=postgres.url, CATCHECK_WORKERS=1) as stage:
        stage.start("worker")
        for offset_s in OFFSETS_S:
            place = folder / f"clock{offset_s}"
            place.mkdir()
            wrong = skewed_environ(place, offset_s)
            checker, site = stage.start("worker", **wrong), stage.serve()
            _upload(stage, ledger, figures, photos, f"a checker's clock is {offset_s} s ahead")
            for process in (checker, site):
                process.terminate()
                process.wait()
            site = stage.serve(**wrong)
            _upload(stage, ledger, figures, photos, f"the site's clock is {offset_s} s ahead")
            site.terminate()
            site.wait()
        return audit(stage, ledger, figures)


def _upload(stage: Stage, ledger: Ledger, figures: Figures, photos: int, what: str) -> None:
    Person(stage.url, ledger).upload_all(photos)
    with stage.services() as services:
        if wait_until_checked(services.engine, _AT_ONCE_S) >= _AT_ONCE_S:
            figures.broken.append(f"photos wait {_AT_ONCE_S:.0f} s while {what}")
