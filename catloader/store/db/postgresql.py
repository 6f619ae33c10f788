"""Connections to PostgreSQL: the settings that the site relies on, whatever the server's defaults are."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Final

from sqlalchemy import Connection, text

from catloader.errors import StartupError

_KEEPALIVES: Final = 3
_CONNECT_S = 5
_CONNECT_OPTIONS: Final[dict[str, Any]] = {
    # No prepared statements: behind a transaction pooler (PgBouncer) the next transaction may run on another
    # server connection, which does not know them.
    "prepare_threshold": None,
    "client_encoding": "utf8",
}
WRITERS_ISOLATION = "READ COMMITTED"
"""A writing transaction that has waited for a lock then reads what the other transaction has written. At a
stricter isolation level it would fail instead."""


def connect_options(silent_s: float, url_options: Container[str]) -> dict[str, Any]:
    """Return the driver's options.

    Without these limits, TCP repeats packets that a lost machine does not acknowledge for about 16 minutes,
    and probes an idle connection only after two hours.

    Args:
        silent_s: the argument of ``make_engine``.
        url_options: options in the URL of the database; time limits among them take precedence.
    """
    limits = {
        "connect_timeout": _CONNECT_S,
        "tcp_user_timeout": round(silent_s * 1000),
        "keepalives_idle": max(1, round(silent_s)),
        "keepalives_interval": max(1, round(silent_s / _KEEPALIVES)),
        "keepalives_count": _KEEPALIVES,
    }
    return _CONNECT_OPTIONS | {name: limit for name, limit in limits.items() if name not in url_options}


def connection_preparer(idle_s: float, lock_s: float) -> Callable[[Any, Any], None]:
    """Return the function that prepares a new connection; the arguments are those of ``make_engine``."""

    def prepare(connection: Any, _record: Any) -> None:
        # Set by statements, since transaction poolers refuse the connection option.
        connection.autocommit = True
        connection.execute("SET DateStyle = 'ISO'")  # the only style in which the driver can read times
        connection.execute(f"SET idle_in_transaction_session_timeout = {idle_s * 1000:.0f}")
        connection.execute(
            f"SELECT set_config('lock_timeout', '{lock_s * 1000:.0f}', false) "
            "WHERE current_setting('lock_timeout') = '0'"
        )
        connection.autocommit = False

    return prepare


def refuse_other_encodings(connection: Connection) -> None:
    """Check that the database can store every character.

    Raises:
        StartupError: the database has another encoding, for example because it was made in the locale "C".
    """
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StartupError(
            f"The database {connection.engine.url.database} has the encoding {encoding}, and CatLoader needs "
            "UTF8. Create another one with: createdb --template=template0 --encoding=UTF8 NAME."
        )


def missing_right(connection: Connection) -> str:
    """Return a sentence if the role may not create tables, else an empty string.

    Since PostgreSQL 15, in a new database only its owner may.
    """
    if connection.dialect.name != "postgresql":
        return ""
    schema = "current_schema()"  # NULL: none of the search path exists
    query = text(f"SELECT current_user, {schema}, has_schema_privilege({schema}, 'CREATE')")
    role, name, may_create = connection.execute(query).one()
    if may_create:
        return ""
    return (
        f"The role {role} may not create tables: let it own the database, or run "
        f"GRANT CREATE ON SCHEMA {name or 'public'} TO {role}."
    )
