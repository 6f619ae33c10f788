"""Empty databases, and a mark for tests that need only one of the two databases.

Without such a mark, a test with an engine or a site runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
"""For tests whose subject is not the database: other tests execute the same SQL on PostgreSQL too."""


@contextmanager
def empty_database(engine: Engine, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database of the same kind as ``engine``; a SQLite file is in ``folder``."""
    if engine.dialect.name == "sqlite":
        yield f"sqlite:///{folder / 'new.sqlite3'}"
        return
    name = f"t_{secrets.token_hex(6)}"
    server = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield engine.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
