"""Decisions of people on photos: the steps shared by all transactions that write one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, update

from catloader.store.db.schema import appeals, photos, reviews
from catloader.store.db.staff.audit_log import record

HumanVerdict = Literal["cat", "not_cat"]


def decide(
    connection: Connection,
    photo_id: int,
    verdict: HumanVerdict,
    *,
    reviewer_id: int,
    status_before: str,
    appeal_id: int | None = None,
    note: str = "",
    now: datetime,
) -> None:
    """Write a person's verdict and a row in both ``reviews`` and ``audit_log``.

    The caller has locked the photo's row.
    """
    set_verdict(connection, photo_id, verdict, verdict, now)
    row: dict[str, Any] = {"photo_id": photo_id, "reviewer_id": reviewer_id, "appeal_id": appeal_id}
    row |= {"made_at": now, "verdict": verdict, "note": note, "status_before": status_before}
    connection.execute(insert(reviews).values(row))
    record(connection, reviewer_id, f"decided {verdict}", f"photo {photo_id}", now)


def close_appeal(connection: Connection, photo_id: int, now: datetime) -> int | None:
    """Close the photo's open appeal and return its id; None: there is none."""
    is_open = (appeals.c.photo_id == photo_id) & appeals.c.closed_at.is_(None)
    closed = update(appeals).where(is_open).values(closed_at=now).returning(appeals.c.id)
    return connection.execute(closed).scalar_one_or_none()


def set_verdict(
    connection: Connection, photo_id: int, verdict: HumanVerdict | None, status: str, now: datetime
) -> None:
    """Set or clear a person's verdict, and set the status that belongs to it."""
    # A checker that has the photo in hand loses its claim and writes nothing.
    values = {"human_verdict": verdict, "human_verdict_at": verdict and now, "status": status}
    values |= {"claim_token": None, "lease_until": None}
    connection.execute(update(photos).where(photos.c.id == photo_id).values(values))
