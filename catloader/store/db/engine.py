"""The database: one engine, and the two ways of speaking with it, ``reading`` and ``writing``."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from catloader.errors import StoreUnavailable

# Engine: the composition root names the type and may not import SQLAlchemy.
__all__ = ["Engine", "make_engine", "reading", "utcnow", "writing"]

_BUSY_TIMEOUT_S = 30.0
_READS = "catloader_reads"
_AWAY = "The database can't be used just now. Please try again in a moment."


def utcnow() -> datetime:
    return datetime.now(UTC)


def make_engine(database: str | Path, *, connections: int = 24, wait_s: float = 10.0) -> Engine:
    """Make an engine for a URL or for the path of an SQLite file; connects at first use.

    A path is never written as a URL, in which ``?`` and ``%`` would mean something else.

    Args:
        connections: most at the same time in this process (a PostgreSQL server takes 100 from all processes).
        wait_s: a caller that finds no free connection for this long gets ``StoreUnavailable``.
    """
    url = URL.create("sqlite", database=str(database)) if isinstance(database, Path) else make_url(database)
    kept = min(8, connections)
    pool: dict[str, Any] = {
        "pool_size": kept,
        "max_overflow": connections - kept,
        "pool_timeout": wait_s,
    }
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5}, **pool)
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S}, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    connection.execute("PRAGMA foreign_keys=ON")
    # WAL with NORMAL: a killed process loses nothing; a power cut may take the last commits, and the
    # embedded object store beside it does not fsync either.
    connection.execute("PRAGMA synchronous=NORMAL")
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:  # the busy timeout does not cover this one statement
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once with "database is locked" when
    # somebody wrote in between; one that says IMMEDIATE waits for its turn. Readers never wait in WAL.
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed at the end of the block.

    Raises:
        StoreUnavailable: no connection, no turn, or no room on the disk.
    """
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One snapshot; never waits for writers.

    Raises:
        StoreUnavailable: no connection.
    """
    with _translated(), engine.connect().execution_options(**{_READS: True}) as connection:
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # SQLite files a mistake in the SQL under the same class as a full disk or a lock held too long.
        ours = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
        away = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        if ours or not away:
            raise
        raise StoreUnavailable(_AWAY) from error
    except PoolTimeout as error:
        raise StoreUnavailable(_AWAY) from error
