"""Connections to SQLite: the write-ahead log, locks, and the durability of commits."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, make_url

logger = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 30.0
"""Default time to wait for the write lock; ``BUSY_OPTION`` overrides it."""
_JOURNAL_BUSY_S = 3.0

# Execution options of a transaction.
BUSY_OPTION = "catloader_busy_s"
READ_ONLY = "catloader_read_only"
REPEATABLE = "catloader_repeatable"

# Keys of a connection's ``info``.
_HAS_LOG = "catloader_has_write_ahead_log"
_PRAGMAS = "catloader_pragmas"


def file_of(database: str | Path) -> Path | None:
    """Return the file of an SQLite database, by its path or URL; None: it is another kind of database."""
    if isinstance(database, Path):
        return database
    url = make_url(database)
    if url.get_backend_name() != "sqlite":
        return None
    name = url.database or ""
    return Path(unquote(urlsplit(name).path) if url.query.get("uri") == "true" else name)


def sqlite_preparer(url: URL) -> Callable[[sqlite3.Connection, Any], None]:
    """Return the function that prepares a new connection; it warns once if there is no write-ahead log."""
    warned = False

    def prepare(connection: sqlite3.Connection, record: Any) -> None:
        nonlocal warned
        connection.isolation_level = None  # the driver must not begin transactions itself
        _make_private(url)
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=0")  # _prepare_journal has its own timeout
        has_log = record.info[_HAS_LOG] = _prepare_journal(connection)
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")
        if not has_log and not warned:
            warned = True
            logger.warning(
                "SQLite can't keep a write-ahead log for %s on this file system; with its rollback journal, "
                "reads and writes wait for each other.",
                url.database,
            )

    return prepare


def _make_private(url: URL) -> None:
    """Let only its owner read a new file, which will hold password hashes.

    SQLite gives the same mode to the files of the write-ahead log.
    """
    file = Path(url.database or "")
    with contextlib.suppress(OSError):  # an address with `file:`, or a file system without modes
        if file.is_file() and file.stat().st_size == 0:
            file.chmod(0o600)


def _prepare_journal(connection: sqlite3.Connection) -> bool:
    """Switch to the write-ahead log; False: this file system does not support its shared memory.

    Raises:
        sqlite3.OperationalError: locked for ``_JOURNAL_BUSY_S``; the next connection tries again.
    """
    deadline = time.monotonic() + _JOURNAL_BUSY_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:  # the busy timeout does not always cover this statement
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return bool(mode == "wal")


def begin_sqlite(connection: Connection) -> None:
    """Begin a transaction according to its execution options.

    A transaction that reads first and writes later would fail at once with "database is locked" if another
    one wrote in between. Therefore writers begin IMMEDIATE, which waits for the lock. Readers never wait in
    WAL mode.
    """
    options = connection.get_execution_options()
    if options.get(READ_ONLY):
        connection.exec_driver_sql("BEGIN")
        return
    busy_s = options.get(BUSY_OPTION, BUSY_TIMEOUT_S)
    # FULL: a commit is on the disk before it is acknowledged, so that a power failure loses no commit. With a
    #     rollback journal, the file stays consistent only in this mode.
    fast = options.get(REPEATABLE) and connection.info[_HAS_LOG]
    pragmas = f"busy_timeout={busy_s * 1000:.0f}", f"synchronous={'NORMAL' if fast else 'FULL'}"
    if connection.info.get(_PRAGMAS) != pragmas:  # usually its previous transaction has set them
        connection.info[_PRAGMAS] = None  # in case setting the second one fails
        for pragma in pragmas:
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        connection.info[_PRAGMAS] = pragmas
    connection.exec_driver_sql("BEGIN IMMEDIATE")
