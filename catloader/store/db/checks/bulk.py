"""Bulk work on the table: read photos for a plan, and write its verdicts. No row is ever marked pending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import Engine, String, bindparam, select, update

from catloader.store.db.checks.queue_sql import LOG, LOGGED
from catloader.store.db.checks.rechecks import RecheckFilter, conditions_of
from catloader.store.db.clock import database_now
from catloader.store.db.engine import reading, writing
from catloader.store.db.paging import pages
from catloader.store.db.photos.photo_rows import DECIDED, DecidedPhoto, decided_photo, has_verdict, not_in_bin
from catloader.store.db.schema import check_log, photos
from catloader.store.db.tables.utc_datetime import UtcDateTime
from checker.decision.operating_point import UNCALIBRATED
from checker.values import INPUTS_PER_PHOTO

_PLANNED = (
    photos.c.id,
    photos.c.photo_key,
    photos.c.thumbnail_key,
    photos.c.sha256,
    photos.c.thumbnail_sha256,
    photos.c.size_bytes,
    photos.c.status,
    photos.c.score,
    photos.c.checked_at,
)
_RECENT = 200

_WRITE = (
    update(photos)
    .where(
        photos.c.id == bindparam("photo_id"),
        photos.c.human_verdict.is_(None),
        photos.c.status == bindparam("old_status"),
        photos.c.checked_at.is_not_distinct_from(bindparam("old_checked_at", type_=UtcDateTime())),
        photos.c.sha256 == bindparam("old_sha256"),
    )
    .values(
        status=bindparam("new_status", type_=String()),
        score=bindparam("new_score"),
        wild_feline=bindparam("new_wild_feline"),
        calibrated=bindparam("new_calibrated"),
        check_error=bindparam("new_error"),
        checked_at=database_now(),
    )
)
"""Updates only rows that are unchanged since the plan; a person's verdict or a later check is kept."""


class BulkTable:
    """Access of bulk work to the table of photos."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def planned(self, criteria: RecheckFilter) -> Iterator[Sequence[Any]]:
        """Yield finished photos that meet the criteria, by rising id.

        Photos that a person has decided, and photos in the bin, are left out.
        """
        query = select(*_PLANNED).where(*conditions_of(criteria), photos.c.human_verdict.is_(None))
        for page in pages(self._engine, query, photos.c.id):
            yield from page

    def reviewed(self) -> Iterator[tuple[Sequence[Any], str]]:
        """Yield photos outside the bin that have a person's verdict, with the verdict, by rising id."""
        query = select(*_PLANNED, photos.c.human_verdict)
        query = query.where(photos.c.human_verdict.is_not(None), not_in_bin())
        for page in pages(self._engine, query, photos.c.id):
            yield from ((row[:-1], row.human_verdict) for row in page)

    def decided(self, sample: int | None = None) -> Iterator[Sequence[Any]]:
        """Yield photos outside the bin that a model or a person has decided, by rising id.

        Args:
            sample: only this number of photos, drawn at random.
        """
        query = select(*_PLANNED).where(has_verdict())
        for page in pages(self._engine, query, photos.c.id, sample):
            yield from page

    def by_id(self, ids: Sequence[int]) -> dict[int, DecidedPhoto]:
        """Return photos by their id; photos that were deleted meanwhile are missing."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(*DECIDED).where(photos.c.id.in_(ids))).all()
        return {row.id: decided_photo(row) for row in rows}

    def seconds_per_photo(self, model: str) -> float | None:
        """Return one worker's time for a photo: the median of the last checks by ``model``.

        The fetch is not included, since it runs in parallel. None: the model has checked nothing yet.
        """
        query = (
            select(check_log.c.ms, check_log.c.batch_size)
            .where(check_log.c.model == model, check_log.c.verdict.is_not(None))
            .order_by(check_log.c.id.desc())
            .limit(_RECENT)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        times = [
            (ms["decode"] + ms["classify"] * INPUTS_PER_PHOTO / batch_size) / 1000
            for ms, batch_size in rows
            if batch_size and {"decode", "classify"} <= ms.keys()
        ]
        return median(times) if times else None

    def write(self, results: Sequence[Mapping[str, Any]]) -> int:
        """Write verdicts and log rows in one transaction; return the number of photos written.

        Args:
            results: ``photo_id``; ``sha256``, ``old_status`` and ``old_checked_at`` from the time of the
                plan; and ``log``, a row of ``queue_sql.log_row`` with a verdict, perhaps of an earlier
                version, without the newest columns. Photos that have changed since the plan are not written.
        """
        # By id in every transaction; otherwise two transactions could wait for each other's rows.
        ordered = sorted(results, key=lambda result: int(result["photo_id"]))
        with writing(self._engine) as connection:
            written = [
                {**dict.fromkeys(LOGGED), **result["log"], "now": None}
                for result in ordered
                if connection.execute(_WRITE, _values(result)).rowcount == 1
            ]
            if written:
                connection.execute(LOG, written)
        return len(written)


def _values(result: Mapping[str, Any]) -> dict[str, Any]:
    log, old_checked_at = result["log"], result["old_checked_at"]
    assert old_checked_at is None or isinstance(old_checked_at, datetime)
    return {
        "photo_id": result["photo_id"],
        "old_status": result["old_status"],
        "old_checked_at": old_checked_at,
        "old_sha256": result["sha256"],
        "new_status": log["verdict"],
        "new_score": log["score"],
        "new_wild_feline": bool(log["wild_feline"]),
        "new_calibrated": log["profile_id"] not in (None, UNCALIBRATED),
        "new_error": log["error"],
    }
