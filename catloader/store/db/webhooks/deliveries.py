"""Outgoing webhooks: one delivery for each event, whichever process wrote it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from catloader.store.db.clock import database_now, later
from catloader.store.db.engine import reading, writing
from catloader.store.db.locked_rows import locked
from catloader.store.db.schema import webhook_deliveries as table
from catloader.store.db.webhooks.messages import SOURCES, Source, SourceName

_LOOK_BACK = 5000
"""Rows of a source that may be committed later than rows with higher numbers."""
_KEPT_FOR = timedelta(days=30)
_MISSED_FOR = timedelta(days=3)
"""Older events are not delivered if the site was down or webhooks were disabled meanwhile."""
_HELD_S = 120.0
"""Longest time of an attempt, after which another process may take the delivery."""
_AT_ONCE = 500
_LARGEST_ID = 2**63 - 1
"""Of a column; no message has it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message and the state of its delivery."""

    source: SourceName
    source_id: int
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
        return f"{_PREFIXES[self.source]}{self.source_id}"


_PREFIXES: dict[SourceName, str] = {"check": "verdict-", "review": "review-"}
_NEW = insert(table).values(next_attempt_at=database_now(), created_at=database_now())
_COLUMNS = tuple(table.c[name] for name in Delivery.__slots__)


class WebhookDeliveries:
    """The ledger. Process-safe; times are the database's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self) -> None:
        """Record the first event to deliver, when webhooks are used for the first time."""
        for name, source in SOURCES.items():
            # Another process may be first; then its entry is the one that counts.
            with contextlib.suppress(IntegrityError), writing(self._engine) as connection:
                if connection.execute(select(table.c.id).where(table.c.source == name).limit(1)).first():
                    continue
                latest = connection.execute(select(func.coalesce(func.max(source.id), 0))).scalar_one()
                connection.execute(_NEW, _entry(name, latest, "", state="start"))

    def collect(self) -> int:
        """Enter the events that are new; return their number."""
        return sum(self._collect(name, source) for name, source in SOURCES.items())

    def _collect(self, name: SourceName, source: Source) -> int:
        entered = table.alias()
        of_source = entered.c.source == name
        since = select(func.max(entered.c.source_id) - _LOOK_BACK).where(of_source).scalar_subquery()
        is_start = of_source & (entered.c.state == "start")
        start = select(func.min(entered.c.source_id)).where(is_start).scalar_subquery()
        is_entered = (table.c.source == name) & (table.c.source_id == source.id)
        query = (
            select(*source.columns)
            .where(
                source.id > since,
                source.id > start,
                source.is_event,
                source.moment >= later(database_now(), literal(-_MISSED_FOR.total_seconds())),
                ~select(table.c.id).where(is_entered).exists(),
            )
            .order_by(source.id)
            .limit(_AT_ONCE)
        )
        with reading(self._engine) as connection:
            entries = [_entry(name, row.id, source.message(row)) for row in connection.execute(query)]
        if not entries:
            return 0
        try:
            with writing(self._engine) as connection:
                connection.execute(_NEW, entries)
        except IntegrityError:  # another process was first; the next round enters what it left out
            return 0
        return len(entries)

    def claim(self) -> Delivery | None:
        """Claim the delivery that has been due longest and count an attempt; None: none is due."""
        # A literal: a plan made for any parameter can't use the partial index.
        is_due = (table.c.state == literal_column("'waiting'")) & (table.c.next_attempt_at <= database_now())
        due = select(table.c.id).where(is_due).order_by(table.c.next_attempt_at).limit(1)
        with reading(self._engine) as connection:  # SQLite's lock is for those who have something to write
            if connection.execute(due).first() is None:
                return None
        held = {
            "attempts": table.c.attempts + 1,
            "next_attempt_at": later(database_now(), literal(_HELD_S)),
        }
        statement = update(table).where(table.c.id.in_(locked(due))).values(held)
        with writing(self._engine) as connection:
            row = connection.execute(statement.returning(*_COLUMNS)).one_or_none()
        return Delivery(**row._mapping) if row else None

    def delivered(self, delivery: Delivery) -> None:
        values = {"state": "delivered", "delivered_at": database_now(), "last_error": None}
        self._set(delivery, values)

    def failed(self, delivery: Delivery, error: str, retry_s: float | None) -> None:
        """Record the error; the next attempt follows in ``retry_s``; None: there will be none."""
        values: dict[str, Any] = {"last_error": error}
        if retry_s is None:
            values["state"] = "given_up"
        else:
            values["next_attempt_at"] = later(database_now(), literal(retry_s))
        self._set(delivery, values)

    def redeliver(self, ids: Sequence[tuple[SourceName, int]] | None) -> int:
        """Send them again, with all attempts; None: all that were given up. Returns their number."""
        named = (_is(*id) for id in ids or ())
        chosen = table.c.state == "given_up" if ids is None else or_(false(), *named)
        values = {"state": "waiting", "attempts": 0, "next_attempt_at": database_now(), "delivered_at": None}
        with writing(self._engine) as connection:
            query = update(table).where(chosen, table.c.state != "start").values(values)
            return connection.execute(query).rowcount

    def latest(self, limit: int, state: str | None = None) -> list[Delivery]:
        """Return the newest deliveries, newest first."""
        chosen = table.c.state == state if state else table.c.state != "start"
        query = select(*_COLUMNS).where(chosen).order_by(table.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def forget_old(self) -> None:
        """Delete old, finished entries. The newest entry of a source stays: events after it are new."""
        old = table.c.created_at < later(database_now(), literal(-_KEPT_FOR.total_seconds()))
        done = table.c.state.in_(("delivered", "given_up"))
        with writing(self._engine) as connection:
            for name in SOURCES:
                newest = select(func.max(table.c.source_id)).where(table.c.source == name)
                is_older = (table.c.source == name) & (table.c.source_id < newest.scalar_subquery())
                connection.execute(delete(table).where(old, done, is_older))

    def _set(self, delivery: Delivery, values: dict[str, Any]) -> None:
        """Write the result of an attempt, unless a later one has taken the delivery meanwhile."""
        held = (table.c.attempts == delivery.attempts) & (table.c.state == "waiting")
        with writing(self._engine) as connection:
            one = _is(delivery.source, delivery.source_id) & held
            connection.execute(update(table).where(one).values(values))


def source_of(message_id: str) -> tuple[SourceName, int] | None:
    """Return the source and the id of a message; None: there is no such message."""
    for name, prefix in _PREFIXES.items():
        number = message_id.removeprefix(prefix)
        if message_id.startswith(prefix) and number.isascii() and number.isdecimal():
            # Python refuses to read thousands of digits, and the database to compare a larger number.
            return name, int(number) if len(number) < len(str(_LARGEST_ID)) else _LARGEST_ID
    return None


def _is(source: SourceName, source_id: int) -> ColumnElement[bool]:
    return and_(table.c.source == source, table.c.source_id == source_id)


def _entry(source: SourceName, source_id: int, payload: str, state: str = "waiting") -> dict[str, Any]:
    return {"source": source, "source_id": source_id, "payload": payload, "state": state}
