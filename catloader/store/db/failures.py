"""Failures of the database, translated into the site's errors: the one place that does so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from catloader.errors import DatabaseUnusable, InvalidInput, StoreUnavailable

READ_ONLY_SERVER = "25006"
_TABLES_MISSING = ("42P01", "42703", "3F000")
"""PostgreSQL's codes of errors: table, column and schema are missing while an older copy is restored."""
_RIGHT_MISSING = "42501"
_DAMAGED_SERVER = ("XX000", "XX001", "XX002")
"""PostgreSQL's codes: an internal error, damaged data, a damaged index."""
_DAMAGED_FILE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Run a transaction in the block.

    Raises:
        StoreUnavailable: no connection, no lock in time, no room on the disk, and the like.
        DatabaseUnusable: it is damaged, or a right is missing.
        InvalidInput: a text contains NUL, which PostgreSQL can neither store nor look for.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, DataError) and "NUL (0x00)" in str(error.orig):
            raise InvalidInput("The text contains a control character. Type it again without it.") from error
        file_code = getattr(error.orig, "sqlite_errorcode", None)
        server_code = getattr(error.orig, "sqlstate", None)
        # The low byte is the kind of error; the others say more.
        damaged = file_code is not None and file_code & 0xFF in _DAMAGED_FILE
        if server_code == _RIGHT_MISSING:
            raise DatabaseUnusable(_sentence(engine, "refuses the request", str(error.orig))) from error
        if damaged or server_code in _DAMAGED_SERVER:
            raise DatabaseUnusable(_sentence(engine, "is broken", str(error.orig))) from error
        # SQLite reports an error in the SQL with the same class as a full disk or a lock held too long.
        mistake = file_code == sqlite3.SQLITE_ERROR
        away = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        # Read-only: a standby after a failover, or a server that its provider made so as its disk is full.
        away = away or server_code in (READ_ONLY_SERVER, *_TABLES_MISSING)
        if mistake or not away:
            raise
        raise StoreUnavailable(_sentence(engine, "does not answer", str(error.orig))) from error
    except PoolTimeout as error:
        raise StoreUnavailable(_sentence(engine, "does not answer", "all connections are in use")) from error


def database_name(engine: Engine) -> str:
    """Return the URL without password and without query, which may hold a password too."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def _sentence(engine: Engine, state: str, reason: str) -> str:
    """Name the database and the driver's reason: its first line; PostgreSQL adds guesses and all attempts."""
    first_line = " ".join(reason.strip().partition("\n")[0].split())
    return f"The database {database_name(engine)} {state}: {first_line.rstrip('.')}."
