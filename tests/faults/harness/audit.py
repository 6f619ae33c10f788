"""Compare the acknowledged photos with the database and the object store, and count the differences."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, func, select

from catloader.deletion import DeletionWorker
from catloader.errors import NotFound
from catloader.orphans import compare, remove
from catloader.store.db.engine import reading, utcnow
from catloader.store.db.object_names import ObjectNames
from catloader.store.db.photos.deletions import RESERVED_FOR_S
from catloader.store.db.schema import check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.wiring import Services
from tests.faults.harness.client import Ledger
from tests.faults.harness.stage import Stage

SETTLED_S = 60.0
"""Every photo must have its verdict within this time after the end of the faults."""


@dataclass
class Figures:
    """The results of one scenario."""

    counts: dict[str, int] = field(default_factory=dict)
    """Event -> number of times that it occurred."""
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged photos without a row or an object."""
    wrong_bytes: int = 0
    unchecked: int = 0
    """Photos without a verdict (cat, not_cat, unsure) ``SETTLED_S`` after the faults."""
    orphans: int = 0
    """Objects without a reference after one ``gc`` and after the reservations have expired."""
    doubles: int = 0
    """Photos with more than one verdict in the check log."""
    extra_inferences: int = 0
    """Attempts beyond the first one of each photo."""
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    """Other broken promises, one sentence each."""

    def complaints(self) -> list[str]:
        """Return the broken promises, in words."""
        return complaints(asdict(self))


def complaints(figures: Mapping[str, Any]) -> list[str]:
    """Return the broken promises, in words; ``figures`` are the fields of ``Figures`` by name."""
    names = ("lost", "wrong_bytes", "unchecked", "orphans", "doubles")
    return [f"{name}: {value}" for name in names if (value := figures[name])] + list(figures["broken"])


def waiting(engine: Engine) -> int:
    """Count the photos without a final status."""
    query = select(func.count()).where(photos.c.status.in_(("pending", "checking")))
    with reading(engine) as connection:
        return connection.execute(query.select_from(photos)).scalar_one()


def logged(engine: Engine) -> int:
    """Count the rows of the check log."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(check_log)).scalar_one()


def wait_until_checked(engine: Engine, timeout_s: float = SETTLED_S) -> float:
    """Wait until no photo waits for its check; return the seconds that it took."""
    begun_s = time.monotonic()
    while waiting(engine) and time.monotonic() - begun_s < timeout_s:
        time.sleep(0.05)
    return time.monotonic() - begun_s


def audit(stage: Stage, ledger: Ledger, figures: Figures, *, backlog_s: float = 0.0) -> Figures:
    """Wait for the checks after the faults, and fill in the figures.

    Args:
        backlog_s: time in addition to ``SETTLED_S``, for photos that already waited before the faults.
    """
    with stage.services() as services:
        wait_until_checked(services.engine, SETTLED_S + backlog_s)
        figures.acknowledged = len(ledger)
        for id, sha256 in ledger.photos.items():
            _compare_one(services, id, sha256, figures)
        figures.doubles = _doubles(services.engine)
        figures.extra_inferences = _extra_attempts(services.engine)
        figures.orphans = _orphans_after_gc(services, figures)
    return figures


def _compare_one(services: Services, id: int, sha256: str, figures: Figures) -> None:
    row = services.photos.by_id(id)
    if row is None:
        figures.lost += 1
        return
    if row.status not in ("cat", "not_cat", "unsure"):
        figures.unchecked += 1
        reason = f"photos without a verdict: {row.status} ({row.check_error or 'no error'})"
        if reason not in figures.broken:
            figures.broken.append(reason)
    try:
        data = services.objects.get(ObjectKind.PHOTO, row.photo_key)
        services.objects.get(ObjectKind.THUMBNAIL, row.thumbnail_key)
    except NotFound:
        figures.lost += 1
    else:
        figures.wrong_bytes += hashlib.sha256(data).hexdigest() != sha256


def _doubles(engine: Engine) -> int:
    verdicts = (
        select(check_log.c.photo_id)
        .where(check_log.c.verdict.is_not(None))
        .group_by(check_log.c.photo_id)
        .having(func.count() > 1)
    )
    with reading(engine) as connection:
        return len(connection.execute(verdicts).all())


def _extra_attempts(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.coalesce(func.sum(photos.c.attempts - 1), 0))).scalar_one())


def _orphans_after_gc(services: Services, figures: Figures) -> int:
    """Do what ``catloader gc --apply`` does, let reservations of killed uploads expire; count the rest."""
    names = ObjectNames(services.engine)
    before = compare(names, services.objects, utcnow(), timedelta())
    if before.orphans:
        figures.broken.append(f"{len(before.orphans)} objects that the ledger does not list, before gc")
    remove(names, before, force=True)
    later = timedelta(seconds=RESERVED_FOR_S + 1)
    DeletionWorker(services.ledger, services.objects, sweep_s=1, now=lambda: utcnow() + later).work_off()
    left = compare(names, services.objects, utcnow(), timedelta())
    return len(left.orphans) + services.ledger.count()
