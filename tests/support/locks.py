"""Wait until a transaction in another thread waits for a lock of this thread, or has ended."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Engine, text

_WAITING = text(
    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def until_it_waits(engine: Engine, other: Future[Any]) -> None:
    """Return when ``other`` is done or a transaction waits for a lock; SQLite's second writer always does."""
    while not other.done() and not _is_waiting(engine):
        with contextlib.suppress(TimeoutError):
            other.exception(timeout=0.02)


def _is_waiting(engine: Engine) -> bool:
    if engine.dialect.name == "sqlite":
        return True
    with engine.connect() as connection:  # a raw cursor fires none of the events that a test listens to
        raw = connection.connection.cursor()
        raw.execute(_WAITING.text)
        return raw.fetchone() is not None
