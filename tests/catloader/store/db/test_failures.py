"""A database that is damaged, or whose rights are withdrawn, while the site runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from catloader.errors import DatabaseUnusable, StartupError
from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import users

_PAGE_BYTES = 4096


@pytest.mark.parametrize(
    ("first", "reason"), [(1, "database disk image is malformed"), (0, "file is not a database")]
)
def test_a_file_that_is_damaged_while_the_site_runs_makes_the_database_unavailable(
    tmp_path: Path, first: int, reason: str
) -> None:
    path = tmp_path / "test.sqlite3"
    running = make_engine(path)
    migrate(running)
    running.dispose()  # the log's pages are now in the file
    with path.open("r+b") as file:
        file.seek(first * _PAGE_BYTES)
        file.write(os.urandom(path.stat().st_size - first * _PAGE_BYTES))
    for transaction in (reading, writing):
        with (
            pytest.raises(DatabaseUnusable, match=rf"test\.sqlite3 is broken: {reason}\.$"),
            transaction(running) as connection,
        ):
            connection.execute(select(users)).all()
    with pytest.raises(StartupError, match=f"is broken: {reason}"):
        migrate(running)
    running.dispose()


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)
def test_a_withdrawn_right_makes_the_database_unavailable(engine: Engine) -> None:
    with (
        pytest.raises(DatabaseUnusable, match=r"refuses the request: permission denied for table users\.$"),
        reading(engine) as connection,
    ):
        connection.execute(text("SET LOCAL ROLE pg_monitor"))
        connection.execute(select(users)).all()
