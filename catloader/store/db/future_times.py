"""Due times further ahead than any wait: the database's clock was wrong when they were written.

A machine may start with a wrong clock and correct it later. Photos, deletions and webhooks that were due at a
time like 2038 would then wait for years.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Engine, Table, literal, select, text, update

from catloader.store.db.clock import database_now, later
from catloader.store.db.engine import reading, writing
from catloader.store.db.schema import deletions, photos, webhook_deliveries
from checker.values import LONGEST_BACKOFF_S

_NEW_S = 60.0
"""A tolerance: a photo without any attempt is due at once."""
_RETRY_S = LONGEST_BACKOFF_S + _NEW_S
"""Longer than any backoff."""
_LEASE_S = 86_400.0 + _NEW_S
"""Longer than the longest ``CATCHECK_LEASE_S``, which may differ between checkers."""
_OTHERS_S = 5 * 86_400.0
"""Longer than any other wait; the longest is four times ``CATCHECK_SWEEP_S``, after new thresholds."""
_WAITS: tuple[tuple[Table, Column[Any], str, float], ...] = (
    (
        photos,
        photos.c.next_attempt_at,
        "status = 'pending' AND attempts = 0 AND begun_at IS NULL",
        _NEW_S,
    ),
    (photos, photos.c.next_attempt_at, "status = 'pending' AND attempts > 0", _RETRY_S),
    (photos, photos.c.next_attempt_at, "status = 'pending'", _OTHERS_S),
    (photos, photos.c.lease_until, "status = 'checking'", _LEASE_S),
    (deletions, deletions.c.not_before, "not_before IS NOT NULL", _OTHERS_S),
    (webhook_deliveries, webhook_deliveries.c.next_attempt_at, "state = 'waiting'", _OTHERS_S),
)
"""(table, column of the due time, condition of its rows, a wait in seconds that is longer than possible)"""


def end_impossible_waits(engine: Engine) -> int:
    """Make rows due now whose wait is longer than possible; return their number."""
    ended = 0
    for table, due, condition, longest_s in _WAITS:
        impossible = text(condition), due > later(database_now(), literal(longest_s))
        with reading(engine) as connection:  # nearly always there is nothing to write
            if connection.execute(select(table.c.id).where(*impossible).limit(1)).first() is None:
                continue
        with writing(engine) as connection:
            statement = update(table).where(*impossible).values({due: database_now()})
            ended += connection.execute(statement).rowcount
    return ended
