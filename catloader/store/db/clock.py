"""The database's clock, for use in statements: one clock for all processes.

Leases, due times and reservations are compared by processes on several machines. If each process used its
own clock, a checker whose clock is an hour ahead would consider every lease expired.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from catloader.store.db.tables.utc_datetime import UtcDateTime

# The format in which SQLAlchemy writes times to SQLite, with milliseconds: the texts are compared.
_SQLITE_FORMAT = "%Y-%m-%d %H:%M:%f000"


class database_now(FunctionElement[datetime]):  # noqa: N801 - named as functions of SQL are
    """The start time of the statement, in SQLite to the millisecond.

    It is constant within the statement, so indexes are used.
    """

    type = UtcDateTime()
    inherit_cache = True


class later(FunctionElement[datetime]):  # noqa: N801
    """``later(time, seconds)``: the time plus the seconds."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(_element: database_now, _compiler: Any, **_: Any) -> str:
    return f"strftime('{_SQLITE_FORMAT}', 'now')"


@compiles(database_now, "postgresql")
def _postgresql_now(_element: database_now, _compiler: Any, **_: Any) -> str:
    return "statement_timestamp()"


@compiles(later, "sqlite")
def _sqlite_later(element: later, compiler: Any, **options: Any) -> str:
    time, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"strftime('{_SQLITE_FORMAT}', {time}, {seconds} || ' seconds')"


@compiles(later, "postgresql")
def _postgresql_later(element: later, compiler: Any, **options: Any) -> str:
    time, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{time} + make_interval(secs => {seconds})"


def now_or(time: datetime | None) -> ColumnElement[datetime]:
    """Return the time as an expression; None: the database's clock."""
    return database_now() if time is None else literal(time, UtcDateTime())


def bound_now() -> ColumnElement[datetime]:
    """Return the parameter ``now`` of a prebuilt statement; its value None means the database's clock."""
    return func.coalesce(bindparam("now", type_=UtcDateTime()), database_now(), type_=UtcDateTime())
