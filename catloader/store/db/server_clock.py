"""The clock of the database's server."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine, text

from catloader.store.db.engine import reading, utcnow


def server_time(engine: Engine) -> datetime:
    """Return the server's current time; with SQLite, that of this machine.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    if engine.dialect.name == "sqlite":
        return utcnow()
    with reading(engine) as connection:
        time: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return time.astimezone(UTC)
