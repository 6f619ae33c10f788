"""The only translation of database failures into the site's errors."""

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
"""PostgreSQL's error codes for a missing table, column or schema, as while an older copy is restored."""
_RIGHT_MISSING = "42501"
_DAMAGED_SERVER = ("XX000", "XX001", "XX002")
"""PostgreSQL's error codes for an internal error, damaged data and a damaged index."""
_DAMAGED_FILE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Translate the errors of the block, which runs a transaction.

    Raises:
        StoreUnavailable: no connection, no lock in time, no room on the disk, and the like.
        DatabaseUnusable: the database is damaged, or the user lacks a right.
        InvalidInput: a text contains NUL, which PostgreSQL can neither store nor look for.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, DataError) and "NUL (0x00)" in str(error.orig):
            raise InvalidInput("The text contains a control character. Type it again without it.") from error
        file_code = getattr(error.orig, "sqlite_errorcode", None)
        server_code = getattr(error.orig, "sqlstate", None)
        # The low byte is the kind of error; the other bytes are details.
        damaged = file_code is not None and file_code & 0xFF in _DAMAGED_FILE
        if server_code == _RIGHT_MISSING:
            raise DatabaseUnusable(_sentence(engine, "refuses the request", str(error.orig))) from error
        if damaged or server_code in _DAMAGED_SERVER:
            raise DatabaseUnusable(_sentence(engine, "is broken", str(error.orig))) from error
        # SQLite reports an error in the SQL with the same class as a full disk or a lock held too long.
        is_sql_error = file_code == sqlite3.SQLITE_ERROR
        unavailable = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        # A server is read-only as a standby after a failover, or because its provider found its disk full.
        unavailable = unavailable or server_code in (READ_ONLY_SERVER, *_TABLES_MISSING)
        if is_sql_error or not unavailable:
            raise
        raise StoreUnavailable(_sentence(engine, "does not answer", str(error.orig))) from error
    except PoolTimeout as error:
        raise StoreUnavailable(_sentence(engine, "does not answer", "all connections are in use")) from error


def database_name(engine: Engine) -> str:
    """Return the URL without its password and its query, which may contain a password too."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def _sentence(engine: Engine, state: str, reason: str) -> str:
    """Return a message with the first line of the driver's reason; more lines are guesses and retries."""
    first_line = " ".join(reason.strip().partition("\n")[0].split())
    return f"The database {database_name(engine)} {state}: {first_line.rstrip('.')}."
