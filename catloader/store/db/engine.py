"""The database: one engine, and the two kinds of transactions, ``reading`` and ``writing``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, Table, create_engine, event, make_url, text

from catloader.errors import StartupError
from catloader.store.db.failures import READ_ONLY_SERVER, database_name, translated
from catloader.store.db.postgresql import WRITERS_ISOLATION, connect_options, connection_preparer
from catloader.store.db.server_watch import ServerWatch, watch_again
from catloader.store.db.sqlite import (
    BUSY_OPTION,
    BUSY_TIMEOUT_S,
    READ_ONLY,
    REPEATABLE,
    begin_sqlite,
    sqlite_preparer,
)

# Engine is re-exported: the composition root needs the type and may not import SQLAlchemy.
__all__ = [
    "Engine",
    "database_name",
    "for_checks",
    "for_requests",
    "make_engine",
    "one_at_a_time",
    "reading",
    "utcnow",
    "writing",
]

_REQUEST_BUSY_TIMEOUT_S = 12.0
"""A backup or an administrator's shell may hold SQLite's lock for seconds; people accept waits of about 10 s.

A waiting request occupies its thread. Pages rarely write, and are served by their own threads.
"""
_LOCK_S = _REQUEST_BUSY_TIMEOUT_S
"""The same limit for PostgreSQL, so that a lock of 10 s fails no request there either. Reads wait for locks
too, and occupy the threads of all pages meanwhile."""


def utcnow() -> datetime:
    return datetime.now(UTC)


def make_engine(
    database: str | Path,
    *,
    connections: int = 24,
    wait_s: float = 10.0,
    idle_s: float = 15.0,
    lock_s: float = _LOCK_S,
    silent_s: float = 15.0,
    ask_after_s: float = 5.0,
) -> Engine:
    """Make an engine for a URL or for the path of an SQLite file; it connects at first use.

    A path is never converted to a URL, in which ``?`` and ``%`` have a meaning.

    Args:
        connections: maximum open at once in this process (by default a PostgreSQL server accepts 100 in all).
        wait_s: a caller that gets no connection within this time gets ``StoreUnavailable``.
        idle_s: PostgreSQL ends a transaction that is idle for this long, for example because its process was
            stopped or its machine was lost; otherwise it would keep its locks.
        lock_s: PostgreSQL ends a statement that waits for a lock for this long, unless the operator has set
            another limit; otherwise a table that is being rewritten would block every thread.
        silent_s: a connection ends when the machine of PostgreSQL acknowledges nothing for this long, for
            example after a power failure.
        ask_after_s: a statement without a response for this long asks PostgreSQL through a new connection,
            again and again; if two such connections get no response, the statement ends.
    Raises:
        StartupError: the database's driver is not installed.
    """
    url = URL.create("sqlite", database=str(database)) if isinstance(database, Path) else make_url(database)
    pool_size = min(8, connections)
    pool: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": connections - pool_size,
        "pool_timeout": wait_s,
    }
    if url.get_backend_name() != "sqlite":
        try:
            engine = create_engine(
                url,
                pool_pre_ping=True,
                connect_args=connect_options(silent_s, url.query),
                isolation_level=WRITERS_ISOLATION,
                **pool,
            )
        except ModuleNotFoundError as error:
            raise StartupError(
                f"PostgreSQL needs the package {error.name}: pip install 'catloader[postgres]'."
            ) from error
        event.listen(engine, "do_connect", ServerWatch(ask_after_s))
        event.listen(engine, "reset", watch_again)
        event.listen(engine, "connect", connection_preparer(idle_s, lock_s))
        event.listen(engine, "handle_error", _renew_read_only_connections)
        return engine
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, **pool)
    event.listen(engine, "connect", sqlite_preparer(url))
    event.listen(engine, "begin", begin_sqlite)
    return engine


def for_requests(engine: Engine, busy_s: float = _REQUEST_BUSY_TIMEOUT_S) -> Engine:
    """Return the same engine for request threads, which wait 12 s instead of 30 s for SQLite's lock."""
    return engine.execution_options(**{BUSY_OPTION: busy_s})


def for_checks(engine: Engine) -> Engine:
    """Return the same engine for repeatable transactions: SQLite does not wait for the disk at commits."""
    return engine.execution_options(**{REPEATABLE: True})


def _renew_read_only_connections(context: ExceptionContext) -> None:
    """Replace all connections after a refused write: the open ones may stay read-only for ever."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY_SERVER:
        context.is_disconnect = True


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Run one transaction, committed at the end of the block.

    Raises:
        StoreUnavailable: no connection, no lock in time, or no room on the disk.
    """
    with translated(engine), engine.begin() as connection:
        yield connection


def one_at_a_time(connection: Connection, table: Table) -> None:
    """Let only one transaction at a time read ``table`` and then write to it; other readers do not wait.

    SQLite allows only one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read one snapshot; with PostgreSQL and SQLite's write-ahead log without waiting for writers.

    Raises:
        StoreUnavailable: no connection.
    """
    options: dict[str, Any] = {READ_ONLY: True}
    if engine.dialect.name == "postgresql" and "isolation_level" not in engine.get_execution_options():
        # By default each statement sees its own snapshot: a row could disappear between two statements.
        options["isolation_level"] = "REPEATABLE READ"
    with translated(engine), engine.connect().execution_options(**options) as connection:
        yield connection
