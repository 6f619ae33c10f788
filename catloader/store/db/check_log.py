"""What was checked, for whoever goes over it again: the log, and the photos with a verdict, in pages.

Pages go by id: a page costs the same at the end of a million rows as at their beginning, and no
transaction stays open while photos are looked at.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, func, not_, select

from catloader.store.db.engine import reading
from catloader.store.db.photos import CheckRecord
from catloader.store.db.schema import CHECK_LOG_COLUMNS, Status, check_log, photos

PAGE = 200


@dataclass(frozen=True, slots=True)
class Ran:
    """What must be the same for a decision to come out the same."""

    weights_sha256: str
    runtime: str
    precision: str
    profile_id: str
    subject: str


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of the log, and where its pictures are."""

    record: CheckRecord
    photo_key: str
    thumbnail_key: str


@dataclass(frozen=True, slots=True)
class CheckedPhoto:
    photo_id: int
    photo_key: str
    thumbnail_key: str
    human_verdict: str | None


class CheckLog:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def verdicts(
        self, ran: Ran, since: datetime | None = None, sample: int | None = None
    ) -> Iterator[Sequence[Logged]]:
        """Rows with a verdict by this network, oldest first. What was ``unreadable`` needed no network.

        Args:
            since: finished then or later.
            sample: so many, drawn at random, each row as likely as any other.
        """
        query = (
            select(*CHECK_LOG_COLUMNS, photos.c.photo_key, photos.c.thumbnail_key)
            .join(photos, photos.c.id == check_log.c.photo_id)
            .where(*_with_verdict(since), _by(ran))
        )
        for rows in self._pages(query, check_log.c.id, sample):
            yield [_logged(row) for row in rows]

    def count_by_others(self, ran: Ran, since: datetime | None = None) -> int:
        """Rows with a verdict that ``verdicts`` leaves out."""
        query = select(func.count()).select_from(check_log).where(*_with_verdict(since), not_(_by(ran)))
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def has(self, id: int) -> bool:
        with reading(self._engine) as connection:
            return connection.execute(select(check_log.c.id).where(check_log.c.id == id)).first() is not None

    def checked_photos(self, sample: int | None = None) -> Iterator[Sequence[CheckedPhoto]]:
        """Photos that a network, or a person, has decided; lowest id first."""
        query = select(photos.c.id, photos.c.photo_key, photos.c.thumbnail_key, photos.c.human_verdict).where(
            photos.c.status.in_((Status.CAT, Status.UNSURE, Status.NOT_CAT))
        )
        for rows in self._pages(query, photos.c.id, sample):
            yield [CheckedPhoto(row.id, row.photo_key, row.thumbnail_key, row.human_verdict) for row in rows]

    def _pages(
        self, query: Select[Any], id: ColumnElement[int], sample: int | None
    ) -> Iterator[Sequence[Row[Any]]]:
        if sample is not None:
            ids = self._drawn(query.with_only_columns(id), sample)
            for start in range(0, len(ids), PAGE):
                yield self._rows(query.where(id.in_(ids[start : start + PAGE])).order_by(id))
            return
        after, rows = 0, self._rows(query.order_by(id).limit(PAGE))
        while rows:
            yield rows
            after = rows[-1].id
            rows = self._rows(query.where(id > after).order_by(id).limit(PAGE))

    def _drawn(self, ids: Select[Any], wanted: int) -> list[int]:
        """A reservoir: one pass, and memory for ``wanted`` ids."""
        drawn: list[int] = []
        with reading(self._engine) as connection:
            rows = connection.execution_options(yield_per=10_000).execute(ids).scalars()
            for seen, one in enumerate(rows):
                if seen < wanted:
                    drawn.append(one)
                elif (place := random.randrange(seen + 1)) < wanted:  # noqa: S311 - nobody guesses at it
                    drawn[place] = one
        return sorted(drawn)

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with reading(self._engine) as connection:
            return connection.execute(query).all()


def _with_verdict(since: datetime | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [check_log.c.verdict.is_not(None)]
    if since is not None:
        conditions.append(check_log.c.finished_at >= since)
    return conditions


def _by(ran: Ran) -> ColumnElement[bool]:
    """Never NULL, so that its opposite is the rest."""
    same = (
        (func.coalesce(check_log.c.weights_sha256, "") == ran.weights_sha256)
        & (func.coalesce(check_log.c.runtime, "") == ran.runtime)
        & (func.coalesce(check_log.c.precision, "") == ran.precision)
        & (func.coalesce(check_log.c.profile_id, "") == ran.profile_id)
        & (func.coalesce(check_log.c.subject, "") == ran.subject)
    )
    return same | (check_log.c.verdict == Status.UNREADABLE)


def _logged(row: Row[Any]) -> Logged:
    columns = dict(row._mapping)
    photo_key, thumbnail_key = columns.pop("photo_key"), columns.pop("thumbnail_key")
    return Logged(CheckRecord(**columns), photo_key, thumbnail_key)
