"""The events that webhooks deliver: rows of the check log and of the reviews, each with its message.

Messages contain no caption, note or e-mail, so that the receiver's log holds no private data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Row, func, select

from catloader.store.db.photos.photo_rows import status_is
from catloader.store.db.schema import Status, check_log, photos, reviews

SourceName = Literal["check", "review"]


@dataclass(frozen=True, slots=True)
class Source:
    """A table whose rows are delivered as events; rows are added and never changed."""

    columns: tuple[ColumnElement[Any], ...]
    id: Column[int]
    moment: Column[datetime]
    is_event: ColumnElement[bool]
    """Selects the rows that are events."""
    message: Callable[[Row[Any]], str]


def _checked(row: Row[Any]) -> str:
    if row.verdict is None:
        data = {"photo_id": row.photo_id, "verdict": str(Status.FAILED), "error": row.error}
        return _message("photo.failed", row.finished_at, {**data, "attempt": row.attempt})
    names = ("verdict", "score", "reason", "wild_feline", "turned_deg", "model", "weights_sha256")
    data = {"photo_id": row.photo_id, **{name: getattr(row, name) for name in (*names, "profile_id")}}
    data |= {"attempt": row.attempt, "photo_sha256": row.photo_sha256}
    return _message("photo.checked", row.finished_at, data)


def _reviewed(row: Row[Any]) -> str:
    data = {"photo_id": row.photo_id, "verdict": row.verdict, "appeal": row.appeal_id is not None}
    return _message("photo.reviewed", row.made_at, {**data, "status_before": row.status_before})


def _message(type: str, moment: datetime, data: Mapping[str, Any]) -> str:
    message = {"type": type, "timestamp": moment.isoformat(), "data": data}
    return json.dumps(message, separators=(",", ":"))


def _is_last_of_failed() -> ColumnElement[bool]:
    """Return the condition of an attempt without verdict that is the newest of a failed photo.

    A photo that was requeued before this condition is evaluated does not count as failed: its next outcome
    is delivered instead.
    """
    of_photo = check_log.alias()
    newest = (
        select(func.max(of_photo.c.id)).where(of_photo.c.photo_id == check_log.c.photo_id).scalar_subquery()
    )
    is_failed = select(photos.c.id).where(photos.c.id == check_log.c.photo_id, status_is("failed")).exists()
    return check_log.c.verdict.is_(None) & is_failed & (check_log.c.id == newest)


def _labelled(*columns: Column[Any]) -> tuple[ColumnElement[Any], ...]:
    return tuple(column.label(column.key) for column in columns)


SOURCES: Mapping[SourceName, Source] = {
    "check": Source(
        _labelled(*check_log.columns),
        check_log.c.id,
        check_log.c.finished_at,
        check_log.c.verdict.is_not(None) | _is_last_of_failed(),
        _checked,
    ),
    "review": Source(
        _labelled(*reviews.columns),
        reviews.c.id,
        reviews.c.made_at,
        reviews.c.id.is_not(None),
        _reviewed,
    ),
}
