"""Accounts with photos are deleted while S3 is unavailable and the deleting processes are killed."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import func, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import receipts
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import Services
from tests.faults.harness.audit import Figures, audit
from tests.faults.harness.client import Ledger, Person, upload_together
from tests.faults.harness.faulty_store import FaultyStore
from tests.faults.harness.points import DELETION_POINTS
from tests.faults.harness.stage import Stage, kill

_NEIGHBOURS = 10
_AWAY_S = 1.5
"""Time without S3: three sweeps."""
_GONE_S = 60.0
_SWEEP_S = 0.5


def delete_account(folder: Path, store: EmbeddedS3, *, photos: int, kills: int) -> Figures:
    """Delete accounts with ``photos`` photos in total; S3 is unavailable at first, then processes are killed.

    One request deletes up to 1 000 objects, so the photos are divided among several accounts. One account is
    deleted while the store is unavailable, and one for each kill.
    """
    figures, ledger = Figures(counts={"photos": photos, "kills": kills}), Ledger()
    proxy = FaultyStore(store.endpoint_url)
    with (
        Stage(folder, store, endpoint_url=proxy.url, CATCHECK_SWEEP_S=_SWEEP_S) as stage,
        stage.services() as services,
    ):
        site = stage.serve()
        checker = stage.start("worker")
        Person(stage.url, ledger).upload_all(_NEIGHBOURS)
        deleted = Ledger()
        share = max(1, photos // (kills + 1))
        leavers = [Person(stage.url, deleted) for _ in range(kills + 1)]
        upload_together(leavers, [photos - share * kills, *[share] * kills])
        proxy.mode = "refused"
        _delete(leavers[0], figures)
        time.sleep(_AWAY_S)
        for process in stage.web_processes(site):
            kill(process)
        proxy.mode = "pass"
        for number, person in enumerate(leavers[1:]):
            point = DELETION_POINTS[number % len(DELETION_POINTS)]
            stage.arm(point)
            _delete(person, figures)
            if not stage.reached():
                figures.broken.append(f"the point {point} was not reached")
            if checker.poll() is not None:  # a checker deletes objects too, so it may have been killed
                checker = stage.start("worker")
        _wait_until_gone(services)
        if left := _objects(services) - 2 * _NEIGHBOURS:
            figures.broken.append(f"{left} objects of deleted accounts are left")
        for id in deleted.photos:
            if services.photos.by_id(id) is not None:
                figures.broken.append(f"photo {id} of a deleted account is still there")
        _compare_receipts(services, figures, accounts=len(leavers), photos=photos)
        audit(stage, ledger, figures)
    proxy.close()
    return figures


def _delete(person: Person, figures: Figures) -> None:
    """Delete the account; try again if the site died before it responded."""
    for _ in range(40):
        if person.delete_account():
            return
        time.sleep(0.25)
    figures.broken.append("an account could not be deleted")


def _objects(services: Services) -> int:
    buckets = {services.objects.bucket_of(kind) for kind in ObjectKind}
    return sum(len(page) for bucket in buckets for page in services.objects.pages(bucket))


def _compare_receipts(services: Services, figures: Figures, *, accounts: int, photos: int) -> None:
    """Compare the receipts with the deleted photos. Each receipt must have the time of its last deletion."""
    counts = (
        func.count(),
        func.sum(receipts.c.photos),
        func.sum(receipts.c.objects),
        func.count(receipts.c.done_at),
    )
    with reading(services.engine) as connection:
        totals = tuple(connection.execute(select(*counts)).one())
    if totals != (accounts, photos, 2 * photos, accounts):
        figures.broken.append(f"receipts, their photos, their objects, and finished receipts: {totals}")


def _wait_until_gone(services: Services) -> None:
    end_s = time.monotonic() + _GONE_S
    while services.ledger.count() and time.monotonic() < end_s:
        time.sleep(0.1)
