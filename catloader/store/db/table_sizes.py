"""The size of a row in PostgreSQL, in its table and in the indexes."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Engine, Table, func, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import check_log, photos


class RowBytes(NamedTuple):
    """The mean size over all rows of a table."""

    rows: int
    table_bytes: float
    """Including long values that are stored separately."""
    index_bytes: float


def row_bytes(engine: Engine) -> dict[str, RowBytes]:
    """Return the size of a row for each table that grows with the photos, by its name. PostgreSQL only."""
    return {table.name: _row_bytes(engine, table) for table in (photos, check_log)}


def _row_bytes(engine: Engine, table: Table) -> RowBytes:
    name = table.name
    query = select(
        select(func.count()).select_from(table).scalar_subquery(),
        func.pg_table_size(name),
        func.pg_indexes_size(name),
    )
    with reading(engine) as connection:
        rows, table_bytes, index_bytes = connection.execute(query).one()
    return RowBytes(rows, table_bytes / rows, index_bytes / rows)
