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
_BUCKETS = (ObjectKind.PHOTO, ObjectKind.THUMBNAIL)
_AWAY_S = 1.5
"""Time without S3: three sweeps."""
_GONE_S = 60.0
_SWEEP_S = 0.5


def delete_one_account(folder: Path, store: EmbeddedS3, *, photos: int, kills: int) -> Figures:
    """Delete one account; kill the process that deletes its objects, until all kills are done.

    The store is unavailable until the first kill. One request deletes up to 1 000 objects of a bucket, so the
    process is killed before the ledger records progress, except twice: once for each bucket. The site has one
    web process, because another one would delete the objects before the next kill.
    """
    figures, ledger, deleted = Figures(counts={"photos": photos, "kills": kills}), Ledger(), Ledger()
    proxy = FaultyStore(store.endpoint_url)
    settings = {"CATCHECK_SWEEP_S": _SWEEP_S, "CATLOADER_WEB_PROCESSES": 1}
    with (
        Stage(folder, store, endpoint_url=proxy.url, **settings) as stage,
        stage.services() as services,
    ):
        stage.serve()
        Person(stage.url, ledger).upload_all(_NEIGHBOURS)
        person = Person(stage.url, deleted)
        person.upload_all(photos)
        repeated, last = DELETION_POINTS[:-1], DELETION_POINTS[-1]
        proxy.mode = "refused"
        stage.arm(repeated[0])
        _delete(person, figures)
        points = [repeated[number % len(repeated)] for number in range(1, kills - len(_BUCKETS))]
        for point in [*points, *[last] * len(_BUCKETS)]:
            if not stage.reached():
                figures.broken.append(f"the point before {point} was not reached")
            stage.arm(point)
            proxy.mode = "pass"
        if not stage.reached():
            figures.broken.append(f"the last point, {last}, was not reached")
        stage.start("worker")
        _look_for_remains(services, deleted, figures)
        _compare_receipts(services, figures, accounts=1, photos=photos)
        audit(stage, ledger, figures)
    proxy.close()
    return figures


def delete_accounts(folder: Path, store: EmbeddedS3, *, photos: int, kills: int) -> Figures:
    """Delete accounts with ``photos`` photos in total; S3 is unavailable at first, then processes are killed.

    One account is deleted while the store is unavailable, and one for each kill. Web processes and a checker
    delete the objects, so either may be killed.
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
        _look_for_remains(services, deleted, figures)
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


def _look_for_remains(services: Services, deleted: Ledger, figures: Figures) -> None:
    """Wait until the ledger is empty, then look for objects and rows of the deleted accounts."""
    end_s = time.monotonic() + _GONE_S
    while services.ledger.count() and time.monotonic() < end_s:
        time.sleep(0.1)
    if left := _objects(services) - len(_BUCKETS) * _NEIGHBOURS:
        figures.broken.append(f"{left} objects of deleted accounts are left")
    for id in deleted.photos:
        if services.photos.by_id(id) is not None:
            figures.broken.append(f"photo {id} of a deleted account is still there")


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
    if totals != (accounts, photos, len(_BUCKETS) * photos, accounts):
        figures.broken.append(f"receipts, their photos, their objects, and finished receipts: {totals}")
