"""Outgoing webhooks: one delivery for each verdict of a checker, whichever process wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, literal, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from catloader.store.db.clock import database_now, later
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import check_log
from catloader.store.db.schema import webhook_deliveries as table

_LOOK_BACK = 5000
"""Rows of the check log that may be committed later than rows with higher numbers."""
_KEPT_FOR = timedelta(days=30)
_MISSED_FOR = timedelta(days=3)
"""Verdicts older than this are not told, if the site was down or webhooks were off meanwhile."""
_HELD_S = 120.0
"""Longest time of an attempt: then another process may take the delivery."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message, with what became of it."""

    check_log_id: int
    payload: str
    state: str
    attempts: int
    next_attempt_at: datetime
    created_at: datetime
    delivered_at: datetime | None
    last_error: str | None

    @property
    def message_id(self) -> str:
        """The ``webhook-id``: the same in every attempt, so that receivers can tell repetitions."""
        return f"verdict-{self.check_log_id}"


_COLUMNS = tuple(table.c[name] for name in Delivery.__slots__)


class WebhookDeliveries:
    """The ledger. Process-safe; times are the database's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self) -> None:
        """Mark where the verdicts begin that will be told, when webhooks are used for the first time."""
        with writing(self._engine) as connection:
            if connection.execute(select(table.c.id).limit(1)).first() is None:
                latest = connection.execute(select(func.coalesce(func.max(check_log.c.id), 0))).scalar_one()
                connection.execute(insert(table).values(_entry(latest, "", state="start")))

    def collect(self) -> int:
        """Enter the verdicts that are new; return their number."""
        entered = table.alias()
        since = select(func.max(entered.c.check_log_id) - _LOOK_BACK).scalar_subquery()
        start = select(func.min(entered.c.check_log_id)).where(entered.c.state == "start").scalar_subquery()
        query = (
            select(check_log)
            .where(
                check_log.c.id > since,
                check_log.c.id > start,
                check_log.c.verdict.is_not(None),
                check_log.c.finished_at >= utcnow() - _MISSED_FOR,
                ~select(table.c.id).where(table.c.check_log_id == check_log.c.id).exists(),
            )
            .order_by(check_log.c.id)
            .limit(_AT_ONCE)
        )
        with reading(self._engine) as connection:
            entries = [_entry(row.id, _payload(row)) for row in connection.execute(query)]
        if not entries:
            return 0
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(table), entries)
        except IntegrityError:  # another process was first; the next round enters what it left out
            return 0
        return len(entries)

    def claim(self) -> Delivery | None:
        """Take the delivery that is due for longest, count an attempt, and hold it; None: none is due."""
        # A literal: a plan made for any parameter can't use the partial index.
        is_due = (table.c.state == literal_column("'waiting'")) & (table.c.next_attempt_at <= database_now())
        due = select(table.c.id).where(is_due).order_by(table.c.next_attempt_at).limit(1)
        with reading(self._engine) as connection:  # SQLite's lock is for those who have something to write
            if connection.execute(due).first() is None:
                return None
        due = due.with_for_update(skip_locked=True)
        held = {
            "attempts": table.c.attempts + 1,
            "next_attempt_at": later(database_now(), literal(_HELD_S)),
        }
        statement = update(table).where(table.c.id.in_(due.scalar_subquery())).values(held)
        with writing(self._engine) as connection:
            row = connection.execute(statement.returning(*_COLUMNS)).one_or_none()
        return Delivery(**row._mapping) if row else None

    def delivered(self, delivery: Delivery) -> None:
        values = {"state": "delivered", "delivered_at": database_now(), "last_error": None}
        self._set([delivery.check_log_id], values)

    def failed(self, delivery: Delivery, error: str, retry_s: float | None) -> None:
        """Note the error; another attempt follows in ``retry_s``, None: none does."""
        values: dict[str, Any] = {"last_error": error}
        if retry_s is None:
            values["state"] = "given_up"
        else:
            values["next_attempt_at"] = later(database_now(), literal(retry_s))
        self._set([delivery.check_log_id], values)

    def redeliver(self, ids: Sequence[int] | None) -> int:
        """Send them again, with all attempts; None: all that were given up. Returns their number."""
        chosen = table.c.state == "given_up" if ids is None else table.c.check_log_id.in_(ids)
        values = {"state": "waiting", "attempts": 0, "next_attempt_at": database_now(), "delivered_at": None}
        with writing(self._engine) as connection:
            query = update(table).where(chosen, table.c.state != "start").values(values)
            return connection.execute(query).rowcount

    def latest(self, limit: int, state: str | None = None) -> list[Delivery]:
        """Return the newest deliveries, newest first."""
        chosen = table.c.state == state if state else table.c.state != "start"
        query = select(*_COLUMNS).where(chosen).order_by(table.c.check_log_id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def forget_old(self) -> None:
        """Delete what is done and old. The newest entry stays: verdicts after it are new."""
        newest = select(func.max(table.c.check_log_id)).scalar_subquery()
        old = table.c.created_at < utcnow() - _KEPT_FOR
        done = table.c.state.in_(("delivered", "given_up"))
        with writing(self._engine) as connection:
            connection.execute(delete(table).where(old, done, table.c.check_log_id < newest))

    def _set(self, ids: Sequence[int], values: dict[str, Any]) -> None:
        with writing(self._engine) as connection:
            connection.execute(update(table).where(table.c.check_log_id.in_(ids)).values(values))


def _entry(check_log_id: int, payload: str, state: str = "waiting") -> dict[str, Any]:
    now = utcnow()
    return {
        "check_log_id": check_log_id,
        "payload": payload,
        "state": state,
        "next_attempt_at": now,
        "created_at": now,
    }


def _payload(row: Row[Any]) -> str:
    """Return the message: no caption and no e-mail, so that a log of the receiver tells nobody anything."""
    names = ("verdict", "score", "reason", "wild_feline", "model", "weights_sha256", "profile_id")
    data = {"photo_id": row.image_id, **{name: getattr(row, name) for name in names}}
    data |= {"attempt": row.attempt, "photo_sha256": row.photo_sha256}
    message = {"type": "photo.checked", "timestamp": row.finished_at.isoformat(), "data": data}
    return json.dumps(message, separators=(",", ":"))
