"""PostgreSQL's notifications between two engines, as between two machines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from catloader.store.db.engine import make_engine, reading
from catloader.store.db.notifications import Listener, can_notify, notify
from tests.support import postgres
from tests.support.wake_up_counter import WakeUpCounter

_LISTENERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE query LIKE 'LISTEN %' AND datname = current_database()"
)


@pytest.fixture
def server(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def other(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


def test_a_notification_wakes_the_listeners_of_another_engine(server: Engine, other: Engine) -> None:
    wake_ups = WakeUpCounter()
    listener = Listener(other, wake_ups, retry_s=0.1)
    listener.start()
    assert wake_ups.wait_for_next(), "once when it has connected"
    assert not wake_ups.wait_for_next(0.2)
    assert notify(server) == ""
    assert wake_ups.wait_for_next()
    listener.close()
    assert other.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_limit_on_idle_sessions_ends_no_listener(postgres_url: str) -> None:
    url = make_url(postgres_url).update_query_dict({"options": "-c idle_session_timeout=200"})
    engine = make_engine(url.render_as_string(hide_password=False))
    wake_ups = WakeUpCounter()
    listener = Listener(engine, wake_ups, retry_s=0.1)
    listener.start()
    assert wake_ups.wait_for_next()
    assert not wake_ups.wait_for_next(timeout_s=1.0), "it has connected again"
    listener.close()
    engine.dispose()


def test_a_broken_connection_is_replaced(server: Engine, other: Engine) -> None:
    wake_ups = WakeUpCounter()
    listener = Listener(other, wake_ups, retry_s=0.1)
    listener.start()
    assert wake_ups.wait_for_next()
    with reading(server) as connection:
        assert connection.execute(_LISTENERS).scalars().all() == [True]
    assert wake_ups.wait_for_next(), "what was said meanwhile is looked for"
    assert notify(server) == ""
    assert wake_ups.wait_for_next()
    listener.close()


def test_an_unexpected_error_does_not_end_the_listener(
    other: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    wake_ups = WakeUpCounter()

    def wake() -> None:
        wake_ups()
        if wake_ups.count == 1:
            raise ValueError("a bug")

    listener = Listener(other, wake, retry_s=0.05)
    listener.start()
    try:
        assert wake_ups.wait_for_next()
        assert wake_ups.wait_for_next(timeout_s=10)
    finally:
        listener.close()
    assert "ValueError: a bug" in caplog.text


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
def test_a_listener_survives_a_restart_of_the_server(
    caplog: pytest.LogCaptureFixture, postgres_url: str, sig: signal.Signals
) -> None:
    """``postgres_url`` makes this test skip if there is no PostgreSQL."""
    with postgres.server() as server:
        wake_ups, engine = WakeUpCounter(), make_engine(server.url)
        listener = Listener(engine, wake_ups, retry_s=0.05)
        listener.start()
        assert wake_ups.wait_for_next()
        assert listener.listening.wait(60)
        server.stop(sig)
        assert not wake_ups.wait_for_next(timeout_s=0.5)
        server.start()
        assert wake_ups.wait_for_next(), "what was said meanwhile is looked for"
        assert listener.listening.wait(60)
        assert notify(engine) == ""
        assert wake_ups.wait_for_next()
        listener.close()
        engine.dispose()
    assert len([line for line in caplog.messages if line.startswith("no wake-ups from")]) == 1
    assert [record for record in caplog.records if record.exc_info] == []


def test_an_unavailable_database_is_reported_in_one_sentence() -> None:
    engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert can_notify(engine)
    sentence = notify(engine)
    assert sentence.startswith("No checker was woken: The database postgresql+psycopg://nobody@127.0.0.1:1")
    assert "\n" not in sentence


def test_sqlite_has_no_notifications(tmp_path: Path) -> None:
    assert not can_notify(make_engine(tmp_path / "catloader.sqlite3"))
