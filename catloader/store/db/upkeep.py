"""PostgreSQL's counts of dead rows, which autovacuum has yet to remove."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine, text

from catloader.store.db.engine import reading

_DEAD_ROWS = text(
    "SELECT relname, n_dead_tup FROM pg_stat_user_tables "
    "WHERE relname IN ('images', 'check_log', 'deletions')"
)


class Upkeep:
    """Read access to the server's statistics."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def dead_rows(self) -> Mapping[str, int]:
        """Return the dead rows of the tables that change most, as last counted by the server.

        SQLite has no dead rows.
        """
        if self._engine.dialect.name != "postgresql":
            return {}
        with reading(self._engine) as connection:
            return {row.relname: row.n_dead_tup for row in connection.execute(_DEAD_ROWS)}
