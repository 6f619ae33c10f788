"""Step 3, record: the photos' rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, delete, func, insert, literal_column, select, tuple_
from sqlalchemy.exc import IntegrityError

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import CHECK_LOG_COLUMNS, Status, check_log, deletions, photos


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """What an upload knows of a photo; sizes are those of the stored, re-encoded one."""

    owner_id: int
    caption: str
    photo_key: str
    thumbnail_key: str
    width_px: int
    height_px: int
    size_bytes: int
    thumbnail_px: int
    crop_left_px: int
    crop_top_px: int
    crop_side_px: int
    sha256: str
    thumbnail_sha256: str


@dataclass(frozen=True, slots=True)
class Photo(NewPhoto):
    id: int
    status: str
    score: float | None
    wild_feline: bool
    calibrated: bool
    check_error: str | None
    claim_token: str | None
    lease_until: datetime | None
    attempts: int
    next_attempt_at: datetime
    checked_at: datetime | None
    human_verdict: str | None
    human_verdict_at: datetime | None
    on_air: bool
    created_at: datetime
    explanation_key: str | None
    explanation_of: str | None


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One finished attempt, as ``check_log`` keeps it."""

    id: int
    photo_id: int
    attempt: int
    finished_at: datetime
    verdict: str | None
    score: float | None
    cat_at: float | None
    not_cat_below: float | None
    subject: str | None
    wild_feline: bool | None
    profile_id: str | None
    model: str | None
    weights_sha256: str | None
    runtime: str | None
    precision: str | None
    device: str | None
    versions: Mapping[str, str] | None
    batch_size: int | None
    labels: Mapping[str, Sequence[tuple[int, str, float]]] | None
    """Rendition -> (ImageNet class, its name, confidence), best first."""
    subject_scores: Mapping[str, Mapping[str, float]] | None
    photo_sha256: str | None
    thumbnail_sha256: str | None
    ms: Mapping[str, float] | None
    error: str | None


OBJECT_KEYS = (photos.c.photo_key, photos.c.thumbnail_key, photos.c.explanation_key)
"""All that a photo has in S3."""


def ledger_rows(
    keys: Sequence[str | None], photos_bucket: str, thumbnails_bucket: str, not_before: datetime
) -> list[dict[str, Any]]:
    """For the deletion ledger; ``keys`` as ``OBJECT_KEYS`` has them, None where there is no object."""
    buckets = (photos_bucket, thumbnails_bucket, photos_bucket)
    return [
        {"bucket": bucket, "key": key, "not_before": not_before}
        for bucket, key in zip(buckets, keys, strict=True)
        if key is not None
    ]


class Photos:
    def __init__(self, engine: Engine, photos_bucket: str, thumbnails_bucket: str) -> None:
        self._engine = engine
        self._buckets = (photos_bucket, thumbnails_bucket)

    def book(self, photo_key: str, thumbnail_key: str, not_before: datetime) -> None:
        """Enter both keys in the deletion ledger, before anything is put under them.

        ``add`` strikes them out again. Whatever stops the upload in between, the objects are swept
        away at ``not_before``; so that must lie well behind the end of any upload.
        """
        with writing(self._engine) as connection:
            connection.execute(
                insert(deletions), ledger_rows((photo_key, thumbnail_key, None), *self._buckets, not_before)
            )

    def add(self, new: NewPhoto, now: datetime) -> int:
        """Insert the `pending` row and strike the two booked keys out, in one transaction.

        Raises:
            NotFound: the account is gone.
            StoreUnavailable: the booking ran out, so the objects may be deleted already.
        """
        values = {**asdict(new), "status": Status.PENDING, "next_attempt_at": now, "created_at": now}
        keys = list(zip(self._buckets, (new.photo_key, new.thumbnail_key), strict=True))
        booked = tuple_(deletions.c.bucket, deletions.c.key).in_(keys)
        untouched = (deletions.c.not_before > now) & (deletions.c.attempts == 0)
        try:
            with writing(self._engine) as connection:
                if connection.execute(delete(deletions).where(booked, untouched)).rowcount != len(keys):
                    raise StoreUnavailable("The upload took too long. Please try again.")
                row = connection.execute(insert(photos).values(values).returning(photos.c.id))
                return int(row.scalar_one())
        except IntegrityError as error:
            raise NotFound("This account does not exist any more.") from error

    def by_id(self, id: int) -> Photo | None:
        found = self._all(select(photos).where(photos.c.id == id))
        return found[0] if found else None

    def of_owner(self, owner_id: int, before_id: int | None, limit: int) -> list[Photo]:
        """Newest first; ``before_id`` is the last id of the page before."""
        query = select(photos).where(photos.c.owner_id == owner_id).order_by(photos.c.id.desc()).limit(limit)
        return self._all(query if before_id is None else query.where(photos.c.id < before_id))

    def statuses(self, owner_id: int, ids: Sequence[int]) -> list[Photo]:
        """Those of ``ids`` that are this owner's."""
        return self._all(select(photos).where(photos.c.owner_id == owner_id, photos.c.id.in_(ids)))

    def waiting(self, limit: int) -> list[Photo]:
        """The head of the queue: photos being checked, then those that wait, first come first."""
        checking = self._all(_in_queue("checking").order_by(photos.c.lease_until, photos.c.id).limit(limit))
        pending = _in_queue("pending").order_by(photos.c.next_attempt_at, photos.c.id)
        return checking + self._all(pending.limit(limit - len(checking)))

    def count_by_status(self, owner_id: int | None = None) -> dict[str, int]:
        """Every status is there, with 0 where there is none."""
        query = select(photos.c.status, func.count().label("photos")).group_by(photos.c.status)
        if owner_id is not None:
            query = query.where(photos.c.owner_id == owner_id)
        with reading(self._engine) as connection:
            counted = {row.status: row.photos for row in connection.execute(query)}
        return {str(status): counted.get(status, 0) for status in Status}

    def delete(self, id: int, owner_id: int, now: datetime) -> bool:
        """Take the row and book its objects for deletion, in one transaction; False: not theirs."""
        gone = delete(photos).where(photos.c.id == id, photos.c.owner_id == owner_id)
        with writing(self._engine) as connection:
            row = connection.execute(gone.returning(*OBJECT_KEYS)).one_or_none()
            if row is not None:
                connection.execute(insert(deletions), ledger_rows(row, *self._buckets, now))
        return row is not None

    def latest_log(self, photo_id: int) -> CheckRecord | None:
        newest = (
            select(*CHECK_LOG_COLUMNS)
            .where(check_log.c.photo_id == photo_id)
            .order_by(check_log.c.id.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(newest).one_or_none()
        if row is None:
            return None
        labels = row.labels and {
            view: [tuple(label) for label in found] for view, found in row.labels.items()
        }
        return CheckRecord(**{**row._mapping, "labels": labels})

    def _all(self, query: Select[Any]) -> list[Photo]:
        with reading(self._engine) as connection:
            return [Photo(**row._mapping) for row in connection.execute(query)]


def _in_queue(status: str) -> Select[Any]:
    return select(photos).where(status_is(status))


def status_is(status: str) -> ColumnElement[bool]:
    """The status spelt out in the SQL: a plan made for any parameter can't use the partial indexes."""
    return photos.c.status == literal_column(f"'{Status(status)}'")
