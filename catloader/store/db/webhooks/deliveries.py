"""Outgoing webhooks: one delivery for each event, regardless of the process that caused the event."""

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
"""Range of a source's row numbers in which a row may be committed after rows with higher numbers."""
_KEPT_FOR = timedelta(days=30)
_MISSED_FOR = timedelta(days=3)
"""Older events are not delivered after the site was down or webhooks were disabled."""
_HELD_S = 120.0
"""Maximum duration of an attempt; then another process may take the delivery."""
_AT_ONCE = 500
_LARGEST_ID = 2**63 - 1
"""The largest number in a column of ids; no message has this id."""


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
        """The ``webhook-id``: the same in every attempt, so that receivers can recognise repetitions."""
        return f"{_PREFIXES[self.source]}{self.source_id}"


_PREFIXES: dict[SourceName, str] = {"check": "verdict-", "review": "review-"}
_NEW = insert(table).values(next_attempt_at=database_now(), created_at=database_now())
_COLUMNS = tuple(table.c[name] for name in Delivery.__slots__)


class WebhookDeliveries:
    """The ledger. Process-safe; times are the database's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self) -> None:
        """Record after which events deliveries begin, if webhooks are used for the first time."""
        for name, source in SOURCES.items():
            # If another process was first, its entry counts.
            with contextlib.suppress(IntegrityError), writing(self._engine) as connection:
                if connection.execute(select(table.c.id).where(table.c.source == name).limit(1)).first():
                    continue
                latest = connection.execute(select(func.coalesce(func.max(source.id), 0))).scalar_one()
                connection.execute(_NEW, _entry(name, latest, "", state="start"))

    def collect(self) -> int:
        """Add a delivery for each new event; return their number."""
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
        except IntegrityError:  # another process was first; the next round adds the remaining events
            return 0
        return len(entries)

    def claim(self) -> Delivery | None:
        """Claim the delivery that has been due longest and count an attempt; None: none is due."""
        # A literal, because a generic plan for parameters can't use the partial index.
        is_due = (table.c.state == literal_column("'waiting'")) & (table.c.next_attempt_at <= database_now())
        due = select(table.c.id).where(is_due).order_by(table.c.next_attempt_at).limit(1)
        with reading(self._engine) as connection:  # takes SQLite's lock only if there is something to write
            if connection.execute(due).first() is None:
                return None
        values = {
            "attempts": table.c.attempts + 1,
            "next_attempt_at": later(database_now(), literal(_HELD_S)),
        }
        statement = update(table).where(table.c.id.in_(locked(due))).values(values)
        with writing(self._engine) as connection:
            row = connection.execute(statement.returning(*_COLUMNS)).one_or_none()
        return Delivery(**row._mapping) if row else None

    def delivered(self, delivery: Delivery) -> None:
        values = {"state": "delivered", "delivered_at": database_now(), "last_error": None}
        self._set(delivery, values)

    def failed(self, delivery: Delivery, error: str, retry_s: float | None) -> None:
        """Record the error; the next attempt is due in ``retry_s`` seconds; None: give up."""
        values: dict[str, Any] = {"last_error": error}
        if retry_s is None:
            values["state"] = "given_up"
        else:
            values["next_attempt_at"] = later(database_now(), literal(retry_s))
        self._set(delivery, values)

    def redeliver(self, ids: Sequence[tuple[SourceName, int]] | None) -> int:
        """Make deliveries due again with all attempts available; return their number.

        Args:
            ids: source and source id of each; None: all deliveries that were given up.
        """
        has_id = (_is(*id) for id in ids or ())
        condition = table.c.state == "given_up" if ids is None else or_(false(), *has_id)
        values = {"state": "waiting", "attempts": 0, "next_attempt_at": database_now(), "delivered_at": None}
        with writing(self._engine) as connection:
            query = update(table).where(condition, table.c.state != "start").values(values)
            return connection.execute(query).rowcount

    def latest(self, limit: int, state: str | None = None) -> list[Delivery]:
        """Return the newest deliveries, newest first; ``state``: only those in this state."""
        condition = table.c.state == state if state else table.c.state != "start"
        query = select(*_COLUMNS).where(condition).order_by(table.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def forget_old(self) -> int:
        """Delete old, finished entries, but not the newest entry of a source: events after it are new.

        A clock that is ahead would delete entries of recent events, which would be sent again.

        Returns:
            The number of deleted entries.
        """
        number = 0
        old = table.c.created_at < later(database_now(), literal(-_KEPT_FOR.total_seconds()))
        done = table.c.state.in_(("delivered", "given_up"))
        with writing(self._engine) as connection:
            for name in SOURCES:
                newest = select(func.max(table.c.source_id)).where(table.c.source == name)
                is_older = (table.c.source == name) & (table.c.source_id < newest.scalar_subquery())
                number += connection.execute(delete(table).where(old, done, is_older)).rowcount
        return number

    def _set(self, delivery: Delivery, values: dict[str, Any]) -> None:
        """Write the result of an attempt, unless a later attempt has begun meanwhile."""
        is_latest = (table.c.attempts == delivery.attempts) & (table.c.state == "waiting")
        with writing(self._engine) as connection:
            condition = _is(delivery.source, delivery.source_id) & is_latest
            connection.execute(update(table).where(condition).values(values))


def source_of(message_id: str) -> tuple[SourceName, int] | None:
    """Return the source and the source id of a message id; None: no message has such an id."""
    for name, prefix in _PREFIXES.items():
        number = message_id.removeprefix(prefix)
        if message_id.startswith(prefix) and number.isascii() and number.isdecimal():
            # Python refuses to parse thousands of digits, and the database to compare a larger number.
            return name, int(number) if len(number) < len(str(_LARGEST_ID)) else _LARGEST_ID
    return None


def _is(source: SourceName, source_id: int) -> ColumnElement[bool]:
    return and_(table.c.source == source, table.c.source_id == source_id)


def _entry(source: SourceName, source_id: int, payload: str, state: str = "waiting") -> dict[str, Any]:
    return {"source": source, "source_id": source_id, "payload": payload, "state": state}
