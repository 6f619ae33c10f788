"""Queries of My photos: filters, search in captions, and keyset pages in both directions.

The cost of a page depends neither on its position nor on the number of photos, because each query reads one
index from one position. A search reads the captions in a separate index. Photos in review are found through
the open appeals of all owners, or counted among the owner's photos if there are fewer of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    column,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    values,
)

from catloader.store.db.engine import reading
from catloader.store.db.paging import pages
from catloader.store.db.photos.months import month_of, next_month, previous_month
from catloader.store.db.photos.photo_rows import Photo, not_in_bin
from catloader.store.db.schema import Status, appeals, photos
from catloader.store.db.tables.utc_datetime import UtcDateTime


class Shown(StrEnum):
    """Filters of My photos."""

    ALL = "all"
    CAT = "cat"
    UNSURE = "unsure"
    NOT_CAT = "not_cat"
    WAITING = "waiting"
    FAILED = "failed"
    APPEALED = "appealed"
    """Photos with an open appeal, of any status."""


STATUSES: dict[Shown, tuple[Status, ...]] = {
    Shown.ALL: tuple(Status),
    Shown.CAT: (Status.CAT,),
    Shown.UNSURE: (Status.UNSURE,),
    Shown.NOT_CAT: (Status.NOT_CAT,),
    Shown.WAITING: (Status.PENDING, Status.CHECKING),
    Shown.FAILED: (Status.UNREADABLE, Status.FAILED),
}

_OPEN_APPEALS = select(appeals.c.photo_id).where(appeals.c.closed_at.is_(None))


@dataclass(frozen=True, slots=True)
class Selection:
    """Photos of one owner."""

    owner_id: int
    shown: Shown = Shown.ALL
    words: tuple[str, ...] = ()
    """As returned by ``texts.search_words``; the caption must contain all of them."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position in the order of photos: by time, and by id for equal times."""

    created_at: datetime
    id: int


class Gallery:
    """An owner's photos, page by page."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def counts(self, owner_id: int, words: tuple[str, ...] = ()) -> dict[Shown, int]:
        """Count the photos of each filter."""
        # With words, group by an expression; otherwise SQLite would read the index of statuses and every
        # photo's row.
        status = func.coalesce(photos.c.status, literal_column("''")) if words else photos.c.status
        query = (
            select(status.label("status"), func.count().label("number"))
            .where(photos.c.owner_id == owner_id, not_in_bin(), *_with_words(words))
            .group_by(status)
        )
        with reading(self._engine) as connection:
            numbers = {row.status: row.number for row in connection.execute(query)}
            appealed = _appealed(connection, owner_id, words, photos_of_owner=sum(numbers.values()))
            count = select(func.count()).select_from(photos).where(*appealed)
            number = connection.execute(count).scalar_one()
        by_filter = {key: sum(numbers.get(status, 0) for status in group) for key, group in STATUSES.items()}
        return {**by_filter, Shown.APPEALED: number}

    def appealed(self, ids: Sequence[int]) -> set[int]:
        """Return the ids of those photos that have an open appeal."""
        query = _OPEN_APPEALS.where(appeals.c.photo_id.in_(ids))
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def older(self, selection: Selection, than: Position | None, limit: int) -> list[Photo]:
        """Return the photos older than a position, newest first; None: from the newest photo on."""
        return self._page(selection, than, limit, newest_first=True)

    def newer(self, selection: Selection, than: Position | None, limit: int) -> list[Photo]:
        """Return the photos newer than a position, oldest first; None: from the oldest photo on."""
        return self._page(selection, than, limit, newest_first=False)

    def ids(self, selection: Selection, start: Position, limit: int, *, newest_first: bool) -> list[int]:
        """Return the ids of ``older`` (``newest_first``) or ``newer``. Reads only indexes."""
        order = (photos.c.created_at, photos.c.id)
        queries = _ordered(selection, start, limit, newest_first=newest_first)
        with reading(self._engine) as connection:
            rows = [row for query in queries for row in connection.execute(query.with_only_columns(*order))]
        return [row.id for row in sorted(rows, key=tuple, reverse=newest_first)[:limit]]

    def months(self, selection: Selection, zone: tzinfo = UTC) -> list[datetime]:
        """Return the starts, in a time zone, of the months with photos, newest first; words are ignored."""
        matching = _matching(selection)
        with reading(self._engine) as connection:
            if selection.shown is Shown.APPEALED:  # a query by month would read all open appeals every time
                times = connection.execute(select(photos.c.created_at).where(*matching[0])).scalars()
                return sorted({month_of(time, zone) for time in times}, reverse=True)
            ends = [
                time
                for conditions in matching
                for time in connection.execute(
                    select(func.min(photos.c.created_at), func.max(photos.c.created_at)).where(*conditions)
                ).one()
                if time is not None
            ]
            if not ends:
                return []
            first, last = month_of(min(ends), zone), month_of(max(ends), zone)
            return _months_between(connection, first, last, matching)

    def all_of(self, owner_id: int) -> Iterator[list[Photo]]:
        """Yield all photos of an owner, page by page, oldest first."""
        query = select(photos).where(photos.c.owner_id == owner_id, not_in_bin())
        for rows in pages(self._engine, query, photos.c.id):
            yield [Photo(**row._mapping) for row in rows]

    def _page(
        self, selection: Selection, start: Position | None, limit: int, *, newest_first: bool
    ) -> list[Photo]:
        rows: list[Photo] = []
        with reading(self._engine) as connection:
            for query in _ordered(selection, start, limit, newest_first=newest_first):
                if selection.words:
                    # The search reads only the index of captions; then only the page's rows are read.
                    ids = list(connection.execute(query.with_only_columns(photos.c.id)).scalars())
                    query = select(photos).where(photos.c.id.in_(ids))  # noqa: PLW2901
                rows += [Photo(**row._mapping) for row in connection.execute(query)]
        rows.sort(key=lambda photo: (photo.created_at, photo.id), reverse=newest_first)
        return rows[:limit]


def _ordered(
    selection: Selection, start: Position | None, limit: int, *, newest_first: bool
) -> list[Select[Any]]:
    """Return one query per status; each reads its index in order and stops at the limit."""
    order = [photos.c.created_at, photos.c.id]
    if newest_first:
        order = [column.desc() for column in order]  # type: ignore[misc]
    after = [] if start is None else [beyond(start, newest_first=newest_first)]
    groups = _matching(selection)
    return [select(photos).where(*matching, *after).order_by(*order).limit(limit) for matching in groups]


def _matching(selection: Selection) -> list[list[ColumnElement[bool]]]:
    """Return the conditions of each query that is needed: one query per status, or one for all photos."""
    if selection.shown is Shown.APPEALED:
        appealed = photos.c.id.in_(_open_appeals_of(selection.owner_id))
        return [[appealed, not_in_bin(), *_with_words(selection.words)]]
    common = [photos.c.owner_id == selection.owner_id, not_in_bin(), *_with_words(selection.words)]
    if selection.shown is Shown.ALL:
        return [common]
    return [[*common, photos.c.status == status] for status in STATUSES[selection.shown]]


def _appealed(
    connection: Connection, owner_id: int, words: tuple[str, ...], *, photos_of_owner: int
) -> list[ColumnElement[bool]]:
    """Return the conditions of the owner's photos in review.

    The query reads the open appeals of all owners, or the owner's photos if there are fewer of these.
    """
    open_ones = _OPEN_APPEALS.limit(photos_of_owner + 1).subquery()
    number = connection.execute(select(func.count()).select_from(open_ones)).scalar_one()
    if number <= photos_of_owner:
        (matching,) = _matching(Selection(owner_id, Shown.APPEALED, words))
        return matching
    (conditions,) = _matching(Selection(owner_id, Shown.ALL, words))
    return [*conditions, exists().where(appeals.c.photo_id == photos.c.id, appeals.c.closed_at.is_(None))]


def _open_appeals_of(owner_id: int) -> Select[tuple[int]]:
    """Select the owner's photos with an open appeal, by reading the open appeals of all owners.

    A subquery returns the owner of each appeal: with a join or a condition on the photo itself, a database
    may choose to read all photos of the site or of the owner.
    """
    its_photo = photos.alias()
    its_owner = select(its_photo.c.owner_id).where(its_photo.c.id == appeals.c.photo_id).scalar_subquery()
    return _OPEN_APPEALS.where(its_owner == owner_id)


def _with_words(words: Sequence[str]) -> list[ColumnElement[bool]]:
    if not words:
        return []
    # A literal, because the partial index can't be used with a parameter.
    has_caption = photos.c.caption_folded != literal_column("''")
    return [has_caption, *(photos.c.caption_folded.contains(word, autoescape=True) for word in words)]


def beyond(start: Position, *, newest_first: bool) -> ColumnElement[bool]:
    """Return the condition of photos after a position, in the order in which they are shown."""
    place = tuple_(photos.c.created_at, photos.c.id)
    limit = tuple_(literal(start.created_at, UtcDateTime()), literal(start.id))
    return place < limit if newest_first else place > limit


def _months_between(
    connection: Connection, first: datetime, last: datetime, matching: list[list[ColumnElement[bool]]]
) -> list[datetime]:
    """Return the months that have photos. One statement searches the index once for each month."""
    months = [last]
    while months[-1] > first:
        months.append(previous_month(months[-1]))
    rows = [(month, next_month(month)) for month in months]
    calendar = (
        values(column("month", UtcDateTime()), column("end", UtcDateTime()), name="calendar").data(rows).cte()
    )
    within = (photos.c.created_at >= calendar.c.month) & (photos.c.created_at < calendar.c.end)
    has_photo = or_(*(exists().where(*conditions, within).correlate(calendar) for conditions in matching))
    with_photos = set(connection.execute(select(calendar.c.month).where(has_photo)).scalars())
    # In UTC: if clocks change at midnight, times with different time zones never compare as equal.
    return [month for month in months if month.astimezone(UTC) in with_photos]
