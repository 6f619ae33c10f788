"""Queries of the check log, to which ``SqlCheckQueue`` adds one row for each finished attempt (step 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, not_, select

from catloader.store.db.engine import reading
from catloader.store.db.paging import pages
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.photos.replacements import check_is_of_present_file
from catloader.store.db.schema import CHECK_LOG_COLUMNS, Status, check_log, photos


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One finished attempt."""

    id: int
    photo_id: int
    attempt: int
    finished_at: datetime
    verdict: str | None
    score: float | None
    cat_at: float | None
    not_cat_below: float | None
    subject: str | None
    reason: str | None
    """A ``checker.values.Reason``: set if the verdict is unsure although the score says "cat"."""
    wild_feline: bool | None
    turned_deg: int | None
    """Degrees clockwise by which the photo was rotated to be judged; None: no decision, or one of an earlier
    version, which judged photos as they were."""
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


def turned_deg_of(record: CheckRecord | None, photo: Photo) -> int:
    """Return by how many degrees clockwise the photo as it lies now was rotated to be judged.

    0 also if the owner has rotated it since that check, as is possible without another check if a person
    has decided.
    """
    if record is None or record.photo_sha256 != photo.sha256:
        return 0
    return record.turned_deg or 0


@dataclass(frozen=True, slots=True)
class ReplayKey:
    """Everything that must be equal for a decision to be repeatable."""

    weights_sha256: str
    runtime: str
    precision: str
    profile_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of the log and the keys of the photo's two renditions."""

    record: CheckRecord
    photo_key: str
    thumbnail_key: str


class CheckLog:
    """Read access to the log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def latest(self, photo_id: int) -> CheckRecord | None:
        """Return the last attempt on the photo's present file, including failed attempts."""
        return self._newest(check_log.c.photo_id == photo_id, check_is_of_present_file())

    def of_photo(self, photo_id: int, limit: int) -> list[CheckRecord]:
        """Return the photo's last attempts, newest first, including attempts on earlier files."""
        query = select(*CHECK_LOG_COLUMNS).where(check_log.c.photo_id == photo_id)
        query = query.order_by(check_log.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_record(dict(row._mapping)) for row in connection.execute(query)]

    def latest_decision(self, photo_id: int) -> CheckRecord | None:
        """Return the last decision by a model on the photo's present file; failed attempts do not count."""
        by_model = check_log.c.model.is_not(None) & check_log.c.score.is_not(None)
        return self._newest(check_log.c.photo_id == photo_id, by_model, check_is_of_present_file())

    def latest_of_all(self) -> CheckRecord | None:
        """Return the last decision of any model."""
        by_model = check_log.c.model.is_not(None) & check_log.c.score.is_not(None)
        return self._newest(by_model)

    def is_of_present_objects(self, id: int) -> bool:
        """Return True if the row still exists and its photo still has the objects that were checked."""
        query = select(check_log.c.id).join(photos, photos.c.id == check_log.c.photo_id)
        with reading(self._engine) as connection:
            row = connection.execute(query.where(check_log.c.id == id, _of_present_objects())).first()
        return row is not None

    def verdicts(
        self, key: ReplayKey, since: datetime | None = None, sample: int | None = None
    ) -> Iterator[Sequence[Logged]]:
        """Yield pages of rows whose verdict can be replayed under ``key``, oldest first.

        They include every ``unreadable`` verdict, which involves no model. They exclude verdicts on an
        earlier file or an earlier thumbnail square of the photo, because those objects are gone.

        Args:
            since: only rows of attempts that finished since this time.
            sample: only this many rows, drawn at random with equal probability.
        """
        query = (
            select(*CHECK_LOG_COLUMNS, photos.c.photo_key, photos.c.thumbnail_key)
            .join(photos, photos.c.id == check_log.c.photo_id)
            .where(*_with_verdict(since), _replayable(key), _of_present_objects())
        )
        for rows in pages(self._engine, query, check_log.c.id, sample):
            yield [_logged(row) for row in rows]

    def count_not_replayable(self, key: ReplayKey, since: datetime | None = None) -> int:
        """Count the rows that have a verdict and that ``verdicts`` leaves out."""
        query = select(func.count()).select_from(check_log).join(photos, photos.c.id == check_log.c.photo_id)
        query = query.where(*_with_verdict(since), not_(_replayable(key) & _of_present_objects()))
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def _newest(self, *conditions: ColumnElement[bool]) -> CheckRecord | None:
        query = select(*CHECK_LOG_COLUMNS).where(*conditions).order_by(check_log.c.id.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return _record(dict(row._mapping)) if row else None


def _with_verdict(since: datetime | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [check_log.c.verdict.is_not(None)]
    if since is not None:
        conditions.append(check_log.c.finished_at >= since)
    return conditions


def _replayable(key: ReplayKey) -> ColumnElement[bool]:
    """Return a condition that is never NULL, so that its negation selects exactly the other rows."""
    same = (
        (func.coalesce(check_log.c.weights_sha256, "") == key.weights_sha256)
        & (func.coalesce(check_log.c.runtime, "") == key.runtime)
        & (func.coalesce(check_log.c.precision, "") == key.precision)
        & (func.coalesce(check_log.c.profile_id, "") == key.profile_id)
        & (func.coalesce(check_log.c.subject, "") == key.subject)
    )
    return same | (check_log.c.verdict == Status.UNREADABLE)


def _of_present_objects() -> ColumnElement[bool]:
    """Return the condition that the photo has the file and the thumbnail that were checked; never NULL."""
    thumbnail = func.coalesce(check_log.c.thumbnail_sha256, photos.c.thumbnail_sha256)
    photo = func.coalesce(check_log.c.photo_sha256, photos.c.sha256)
    are_same = (thumbnail == photos.c.thumbnail_sha256) & (photo == photos.c.sha256)
    return check_is_of_present_file() & are_same


def lies_otherwise(connection: Connection, photo_id: int) -> bool:
    """Return True if every check of a photo is of another rotation or thumbnail than it has now."""
    checks = select(_of_present_objects()).join_from(check_log, photos, check_log.c.photo_id == photos.c.id)
    query = checks.where(check_log.c.photo_id == photo_id, check_log.c.verdict.is_not(None))
    are_present = connection.execute(query).scalars().all()
    return bool(are_present) and not any(are_present)


def _record(columns: Mapping[str, Any]) -> CheckRecord:
    # JSON has no tuples.
    labels = columns["labels"] and {
        rendition: [tuple(label) for label in labels] for rendition, labels in columns["labels"].items()
    }
    return CheckRecord(**{**columns, "labels": labels})


def _logged(row: Row[Any]) -> Logged:
    columns = dict(row._mapping)
    photo_key, thumbnail_key = columns.pop("photo_key"), columns.pop("thumbnail_key")
    return Logged(_record(columns), photo_key, thumbnail_key)
