"""Thresholds re-measured on decisions of people: the jobs that measure them, and the current choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, func, insert, select, update

from catloader.store.db.checks.rechecks import requeue
from catloader.store.db.engine import one_at_a_time, reading, writing
from catloader.store.db.paging import pages
from catloader.store.db.photos.photo_rows import has_verdict, not_in_bin
from catloader.store.db.photos.replacements import check_is_of_present_file
from catloader.store.db.schema import check_log, photos, profile_choices
from catloader.store.db.schema import measured_profiles as table
from catloader.store.db.staff.audit_log import record

_SILENT_FOR = timedelta(minutes=2)
"""A job without progress for this long counts as ended: its process has died."""


@dataclass(frozen=True, slots=True)
class MeasuredProfile:
    """A job, and its result once it has ended."""

    id: int
    made_at: datetime
    actor: str
    base_id: str
    touched_at: datetime
    done: int
    total: int
    error: str | None
    missing: Mapping[str, int] | None
    """``cats``, ``others``, ``cats_needed``, ``others_needed``, if there are too few decisions."""
    profile_id: str | None
    profile: Mapping[str, Any] | None
    flips: Mapping[str, int] | None
    photos: Sequence[Sequence[Any]] | None
    """(id, verdict, verdict by the new thresholds, score)"""

    def is_running(self, now: datetime) -> bool:
        return self.profile_id is None and self.error is None and abs(now - self.touched_at) < _SILENT_FOR


@dataclass(frozen=True, slots=True)
class ProfileChoice:
    """The thresholds in use since ``made_at``."""

    id: int
    made_at: datetime
    actor: str
    measured_id: int | None
    """None: the thresholds of the profiles that were measured in full."""


_LATEST = select(table).order_by(table.c.id.desc()).limit(1)


class MeasuredProfiles:
    """The jobs and the choices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, base_id: str, actor_id: int, now: datetime) -> int | None:
        """Add a job and return its id; None: another job is running."""
        with writing(self._engine) as connection:
            one_at_a_time(connection, table)
            last = _only(connection, _LATEST)
            if last and last.is_running(now):
                return None
            actor = record(connection, actor_id, "measured thresholds", base_id, now)
            row = {"made_at": now, "actor": actor, "base_id": base_id, "touched_at": now}
            return int(connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())

    def write(self, id: int, now: datetime, **values: Any) -> None:
        """Write progress or the result of a job."""
        with writing(self._engine) as connection:
            connection.execute(update(table).where(table.c.id == id).values(touched_at=now, **values))

    def latest(self) -> MeasuredProfile | None:
        return self._one(_LATEST)

    def by_id(self, id: int) -> MeasuredProfile | None:
        return self._one(select(table).where(table.c.id == id))

    def by_profile_id(self, profile_id: str) -> MeasuredProfile | None:
        query = select(table).where(table.c.profile_id == profile_id)
        return self._one(query.order_by(table.c.id.desc()).limit(1))

    def ids_with_head_of(self, base_id: str) -> list[str]:
        """Return the ids of the profiles whose scores are comparable: the base and those measured from it."""
        query = select(table.c.profile_id).where(table.c.base_id == base_id, table.c.profile_id.is_not(None))
        with reading(self._engine) as connection:
            return [base_id, *connection.execute(query.distinct()).scalars()]

    def decided_by_people(self, profile_ids: Sequence[str]) -> list[Row[Any]]:
        """Return the photos with a human verdict, each with the logged columns of ``_with_score``."""
        query = _with_score(profile_ids).where(photos.c.human_verdict.is_not(None))
        with reading(self._engine) as connection:
            return list(connection.execute(query))

    def decided_by_model(self, profile_ids: Sequence[str]) -> tuple[int, Iterator[Sequence[Row[Any]]]]:
        """Return the number of photos with a model's verdict, and pages of them as ``_with_score``."""
        query = _with_score(profile_ids).where(photos.c.human_verdict.is_(None), has_verdict())
        with reading(self._engine) as connection:
            number = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        return number, pages(self._engine, query, photos.c.id)

    def choice(self) -> ProfileChoice | None:
        """Return the current choice; None: nothing was chosen yet."""
        choices = self.choices(1)
        return choices[0] if choices else None

    def choices(self, limit: int) -> list[ProfileChoice]:
        """Return the latest choices, newest first."""
        query = select(profile_choices).order_by(profile_choices.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [ProfileChoice(**row._mapping) for row in connection.execute(query)]

    def choose(
        self,
        measured_id: int | None,
        act: str,
        actor_id: int,
        now: datetime,
        *,
        requeued: Sequence[int] = (),
        delay_s: float = 0.0,
    ) -> int:
        """Apply thresholds and requeue photos; return the number of requeued photos.

        Args:
            delay_s: time until those photos are due, so that checkers load the thresholds first.
        """
        target = "those measured in full" if measured_id is None else f"measurement {measured_id}"
        by_model = photos.c.human_verdict.is_(None)
        latest = select(profile_choices.c.measured_id).order_by(profile_choices.c.id.desc()).limit(1)
        with writing(self._engine) as connection:
            one_at_a_time(connection, profile_choices)
            if connection.execute(latest).scalar() == measured_id:
                return 0
            actor = record(connection, actor_id, act, target, now)
            row = {"made_at": now, "actor": actor, "measured_id": measured_id}
            connection.execute(insert(profile_choices).values(row))
            if not requeued:
                return 0
            return requeue(connection, photos.c.id.in_(requeued) & by_model & has_verdict(), delay_s)

    def _one(self, query: Select[Any]) -> MeasuredProfile | None:
        with reading(self._engine) as connection:
            return _only(connection, query)


def _only(connection: Connection, query: Select[Any]) -> MeasuredProfile | None:
    row = connection.execute(query).one_or_none()
    return MeasuredProfile(**row._mapping) if row else None


def _with_score(profile_ids: Sequence[str]) -> Select[Any]:
    """Select photos with the latest score of their present file, if it is from one of the profiles."""
    of_photo = check_log.alias()
    newest: ColumnElement[int] = (
        select(func.max(of_photo.c.id))
        .where(of_photo.c.photo_id == photos.c.id, of_photo.c.score.is_not(None))
        .correlate(photos)
        .scalar_subquery()
    )
    columns = (photos.c.id, photos.c.status, photos.c.human_verdict)
    logged = ("score", "cat_at", "wild_feline", "labels", "reason")
    return (
        select(*columns, *(check_log.c[name] for name in logged))
        .select_from(photos)
        .join(check_log, check_log.c.id == newest)
        .where(check_log.c.profile_id.in_(profile_ids), check_is_of_present_file(), not_in_bin())
    )
