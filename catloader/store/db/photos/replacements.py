"""Replacements of photos' files: earlier checks and decisions are about the previous file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, Engine, Table, func, insert, select

from catloader.store.db.clock import now_or
from catloader.store.db.engine import reading
from catloader.store.db.schema import check_log, random_audits, replacements, reviews


@dataclass(frozen=True, slots=True)
class Replacement:
    """One replacement of a photo's file."""

    made_at: datetime


class Replacements:
    """Read access to the replacements of photos."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_photo(self, photo_id: int) -> list[Replacement]:
        """Return all replacements of a photo, oldest first."""
        query = select(replacements.c.made_at).where(replacements.c.photo_id == photo_id)
        with reading(self._engine) as connection:
            return [
                Replacement(made_at)
                for made_at in connection.execute(query.order_by(replacements.c.id)).scalars()
            ]


def enter(connection: Connection, photo_id: int, now: datetime | None) -> None:
    """Add a row. The caller has locked the photo's row, so that no verdict is written meanwhile."""
    checks = select(func.coalesce(func.max(check_log.c.id), 0)).where(check_log.c.photo_id == photo_id)
    decisions = select(func.coalesce(func.max(reviews.c.id), 0)).where(reviews.c.photo_id == photo_id)
    values = {
        "photo_id": photo_id,
        "made_at": now_or(now),
        "last_check_id": checks.scalar_subquery(),
        "last_review_id": decisions.scalar_subquery(),
    }
    connection.execute(insert(replacements).values(values))


def check_is_of_present_file() -> ColumnElement[bool]:
    """Return the condition that a row of ``check_log`` is about the photo's present file."""
    return _is_after(replacements.c.last_check_id, check_log.c.id, check_log)


def review_is_of_present_file() -> ColumnElement[bool]:
    """Return the same condition for rows of ``reviews``."""
    return _is_after(replacements.c.last_review_id, reviews.c.id, reviews)


def audit_is_of_present_file() -> ColumnElement[bool]:
    """Return the same condition for rows of ``random_audits``."""
    return _is_after(replacements.c.last_check_id, random_audits.c.check_log_id, random_audits)


def _is_after(last_before: Column[int], id: Column[int], table: Table) -> ColumnElement[bool]:
    """Return the condition that a row of ``table`` is newer than the latest replacement of its photo.

    Args:
        last_before: the highest id before each replacement.
    """
    latest = select(func.max(last_before)).where(replacements.c.photo_id == table.c.photo_id)
    return id > func.coalesce(latest.correlate(table).scalar_subquery(), 0)
