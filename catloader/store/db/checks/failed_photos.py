"""The photos without a verdict: failed or unreadable, with the error of their last attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Engine, func, select

from catloader.store.db.accounts.account_lock import keep_account
from catloader.store.db.checks.rechecks import requeue
from catloader.store.db.engine import reading, writing
from catloader.store.db.photos.photo_rows import not_in_bin, status_is
from catloader.store.db.schema import photos, users
from catloader.store.db.staff.audit_log import record

FailedStatus = Literal["failed", "unreadable"]
STATUSES: tuple[FailedStatus, ...] = ("failed", "unreadable")
_MOST_KINDS = 20


@dataclass(frozen=True, slots=True)
class FailedPhoto:
    """A photo without a verdict."""

    id: int
    owner: str
    """E-mail."""
    error: str
    attempts: int
    checked_at: datetime | None


class FailedPhotos:
    """Failed and unreadable photos, newest first, without those in the bin."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(
        self, status: FailedStatus, error: str | None, before: int | None, limit: int
    ) -> list[FailedPhoto]:
        """Return a page of photos with this status, newest first.

        Args:
            error: only photos with exactly this error.
            before: only photos with smaller ids; None: from the newest photo on.
        """
        columns = (photos.c.id, users.c.email, photos.c.check_error, photos.c.attempts, photos.c.checked_at)
        query = select(*columns).join(users, users.c.id == photos.c.owner_id).where(*_without_verdict(status))
        if error is not None:
            query = query.where(photos.c.check_error == error)
        if before is not None:
            query = query.where(photos.c.id < before)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(photos.c.id.desc()).limit(limit)).all()
        return [
            FailedPhoto(row.id, row.email, row.check_error or "", row.attempts, row.checked_at)
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """Return the number of photos by status, including 0."""
        columns = [
            select(func.count()).where(*_without_verdict(status)).scalar_subquery().label(status)
            for status in STATUSES
        ]
        with reading(self._engine) as connection:
            return dict(connection.execute(select(*columns)).one()._mapping)

    def kinds(self, status: FailedStatus) -> list[tuple[str, int]]:
        """Return the most frequent errors, each with the number of its photos."""
        number = func.count().label("number")
        query = (
            select(photos.c.check_error, number)
            .where(*_without_verdict(status), photos.c.check_error.is_not(None))
            .group_by(photos.c.check_error)
            .order_by(number.desc(), photos.c.check_error)
            .limit(_MOST_KINDS)
        )
        with reading(self._engine) as connection:
            return [(row.check_error, row.number) for row in connection.execute(query)]

    def requeue(self, ids: Sequence[int], actor_id: int, now: datetime) -> int:
        """Make the photos among ``ids`` that have no verdict ``pending``; return their number."""
        if not ids:
            return 0
        is_failed = photos.c.id.in_(ids) & photos.c.human_verdict.is_(None) & not_in_bin()
        is_failed &= status_is("failed") | status_is("unreadable")
        with writing(self._engine) as connection:
            keep_account(connection, actor_id)
            matching = list(
                connection.execute(select(photos.c.id).where(is_failed).order_by(photos.c.id)).scalars()
            )
            number = requeue(connection, is_failed & photos.c.id.in_(matching))
            if matching:
                word = "photo" if len(matching) == 1 else "photos"
                record(connection, actor_id, "re-queued", f"{word} {', '.join(map(str, matching))}", now)
        return number


def _without_verdict(status: FailedStatus) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return status_is(status), not_in_bin()
