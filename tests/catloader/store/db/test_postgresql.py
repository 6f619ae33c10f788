"""PostgreSQL databases whose defaults differ from the settings that the site needs."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Engine, insert, select, text, update

from catloader.errors import StartupError
from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.migrate import migrate, revisions
from catloader.store.db.schema import webhook_ids
from tests.support.postgres import change_settings

pytestmark = pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_writers_wait_for_each_other_under_any_default_isolation_level(empty_url: str, level: str) -> None:
    first = make_engine(empty_url)
    migrate(first)
    change_settings(empty_url, f"default_transaction_isolation = '{level}'")
    other, row = make_engine(empty_url), {"id": "same", "seen_at": datetime.now(UTC)}
    with writing(first) as connection:
        connection.execute(insert(webhook_ids).values(row))
    read = threading.Event()

    def delete_it() -> int:
        with writing(other) as connection:
            connection.execute(text("SELECT 1")).one()  # a stricter level takes its snapshot here
            read.set()
            return connection.execute(webhook_ids.delete()).rowcount

    with ThreadPoolExecutor(1) as threads:
        with writing(first) as connection:
            connection.execute(update(webhook_ids).values(seen_at=datetime.now(UTC)))
            deleted = threads.submit(delete_it)
            assert read.wait(60)
        assert deleted.result() == 1
    first.dispose()
    other.dispose()


@pytest.mark.parametrize("change", ["DateStyle = 'German, DMY'", "client_encoding = 'LATIN1'"])
def test_rows_are_read_as_written_under_any_default_date_style(empty_url: str, change: str) -> None:
    change_settings(empty_url, change)
    engine, row = make_engine(empty_url), {"id": "猫 😺", "seen_at": datetime(2026, 11, 2, 13, 5, tzinfo=UTC)}
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(insert(webhook_ids).values(row))
    with reading(engine) as connection:
        assert [dict(found) for found in connection.execute(select(webhook_ids)).mappings()] == [row]
    engine.dispose()


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def other_encoding(request: pytest.FixtureRequest, engine: Engine) -> Iterator[tuple[str, str]]:
    """An encoding, and the URL of a new database that has it."""
    server, name = engine.url.render_as_string(False).replace("+psycopg", ""), f"t_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' ENCODING '{request.param}'")
        yield request.param, engine.url.set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_cannot_store_every_character_is_refused(other_encoding: tuple[str, str]) -> None:
    encoding, url = other_encoding
    engine = make_engine(url)
    for look in (migrate, revisions):  # at a start, and in `catloader doctor`
        with pytest.raises(StartupError, match=f"has the encoding {encoding}, and CatLoader needs UTF8"):
            look(engine)
    engine.dispose()
