"""Processes with a wrong clock and processes with a right one share a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit, wait_until_checked
from tests.faults.harness.client import Ledger, Person
from tests.faults.harness.stage import Stage
from tests.support.postgres import server
from tests.support.skewed_clock import set_offset, skewed_environ

_OFFSETS_S = (840, -840, 125)
_REFUSED_S = (3600, -3600)
"""S3 refuses a signature that is off by 15 minutes, so a process with such a clock must report it."""
_SET_S = (125, -125, 3600, -3600)
_ACCEPTED_S = 900
"""S3 accepts signatures that are off by up to 15 minutes."""
_SAYS = "this machine's clock is 60 minutes"
_AT_ONCE_S = 60.0
"""A check takes seconds on a busy machine. If a wrong clock postponed it, it would wait for two minutes."""
_STOP_S = 60.0


def set_clocks_wrong(folder: Path, store: EmbeddedS3, *, photos: int) -> Figures:
    """Upload while a checker's clock is wrong, then while the site's is. Another checker's clock is right."""
    figures, ledger = Figures(counts={"clocks": len(_OFFSETS_S) + len(_REFUSED_S)}), Ledger()
    with server() as postgres, Stage(folder, store, DATABASE_URL=postgres.url, CATCHECK_WORKERS=1) as stage:
        stage.start("worker")
        for offset_s in _OFFSETS_S:
            wrong = _environ(folder, offset_s)
            checker, site = stage.start("worker", **wrong), stage.serve()
            _upload(stage, ledger, figures, photos, f"a checker's clock is {offset_s} s ahead")
            for process in (checker, site):
                process.terminate()
                process.wait(_STOP_S)
            site = stage.serve(**wrong)
            _upload(stage, ledger, figures, photos, f"the site's clock is {offset_s} s ahead")
            site.terminate()
            site.wait(_STOP_S)
        stage.serve()
        for offset_s in _REFUSED_S:
            reported = stage.log.count(_SAYS)
            if stage.start("worker", **_environ(folder, offset_s)).wait(_STOP_S) == 0:
                figures.broken.append(f"a checker whose clock is {offset_s} s ahead ends without an error")
            if stage.log.count(_SAYS) == reported:
                figures.broken.append(f"a checker does not say that its clock is {offset_s} s ahead")
            _upload(stage, ledger, figures, photos, f"another checker's clock is {offset_s} s ahead")
        return audit(stage, ledger, figures)


def set_clock_of_running_site(folder: Path, store: EmbeddedS3, *, photos: int) -> Figures:
    """Set the clock of a running site and its checker wrong and right again, between uploads."""
    figures, ledger = Figures(counts={"clocks": len(_SET_S)}), Ledger()
    clock = _environ(folder, 0)
    with (
        server() as postgres,
        Stage(
            folder, store, DATABASE_URL=postgres.url, CATCHECK_DISPATCH="thread", CATCHECK_WORKERS=1
        ) as stage,
    ):
        stage.serve(**clock)
        person = Person(stage.url, ledger)  # the session and the form are older than the clock changes
        person.upload_all(photos)
        for offset_s in _SET_S:
            set_offset(folder / "clock0", offset_s)
            answers = {person.upload() for _ in range(photos)}
            expected = 503 if abs(offset_s) > _ACCEPTED_S else 201
            # The site may close the connection, because by its clock the connection was idle for an hour.
            if expected not in answers or answers - {expected, 0}:
                figures.broken.append(f"answers to uploads while the clock is {offset_s} s ahead: {answers}")
            set_offset(folder / "clock0", 0)
            _upload(stage, ledger, figures, photos, f"the clock was {offset_s} s ahead")
            person.upload_all(1)
        return audit(stage, ledger, figures)


def _environ(folder: Path, offset_s: int) -> dict[str, str]:
    place = folder / f"clock{offset_s}"
    place.mkdir()
    return skewed_environ(place, offset_s)


def _upload(stage: Stage, ledger: Ledger, figures: Figures, photos: int, what: str) -> None:
    Person(stage.url, ledger).upload_all(photos)
    with stage.services() as services:
        if wait_until_checked(services.engine, _AT_ONCE_S) >= _AT_ONCE_S:
            figures.broken.append(f"photos wait {_AT_ONCE_S:.0f} s while {what}")
