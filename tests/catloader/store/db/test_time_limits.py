"""Time limits that an operator sets for the site in PostgreSQL, and a server that accepts no writes."""

from __future__ import annotations

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, Connection, Engine, event, func, insert, make_url, select, text

from catloader.demo.client import until
from catloader.errors import StoreUnavailable
from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.migrate import _MIGRATION_LOCK, migrate, revisions
from catloader.store.db.schema import users, webhook_ids
from catloader.store.db.snapshot import take
from catloader.store.db.time_limits import lift_time_limits
from tests.support.machine import busy_factor
from tests.support.packet_loss import lose_everything
from tests.support.postgres import change_settings

pytestmark = pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)

_WAITS = (
    "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' "
    "AND clock_timestamp() - query_start > interval '0.5 s'"
)


@pytest.mark.parametrize("limit", ["statement_timeout = 200", "lock_timeout = 200"])
def test_a_statement_that_takes_too_long_is_unavailable(empty_url: str, limit: str) -> None:
    engine, row = make_engine(empty_url), {"id": "wait", "seen_at": datetime.now(UTC)}
    migrate(engine)
    change_settings(empty_url, limit)
    limited = make_engine(empty_url)
    with writing(engine) as connection:
        connection.execute(insert(webhook_ids).values(row))
        with pytest.raises(StoreUnavailable, match="canceling statement"), writing(limited) as other:
            other.execute(insert(webhook_ids).values(row))
        with reading(limited) as other:  # the same connection
            assert other.execute(select(webhook_ids)).all() == []
    engine.dispose()
    limited.dispose()


def test_a_read_only_server_is_unavailable_for_writing(empty_url: str) -> None:
    """Such as a standby after a failover, or a server whose provider found its disk full."""
    engine = make_engine(empty_url)
    migrate(engine)
    engine.dispose()
    change_settings(empty_url, "default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="read-only transaction"), writing(engine) as connection:
        connection.execute(webhook_ids.delete())
    with reading(engine) as connection:
        assert connection.execute(select(webhook_ids)).all() == []
    engine.dispose()


def test_connections_that_were_read_only_do_not_stay_in_use(empty_url: str) -> None:
    """The provider has made the server writable again; its old connections stay read-only."""
    engine = make_engine(empty_url)
    migrate(engine)
    engine.dispose()
    change_settings(empty_url, "default_transaction_read_only = on")
    with reading(engine) as first, reading(engine) as second:
        assert first.execute(select(webhook_ids)).all() == second.execute(select(webhook_ids)).all() == []
    change_settings(empty_url, "default_transaction_read_only = off")
    with pytest.raises(StoreUnavailable, match="read-only transaction"), writing(engine) as connection:
        connection.execute(webhook_ids.delete())
    with writing(engine) as connection, writing(engine) as other:
        connection.execute(webhook_ids.delete())
        other.execute(webhook_ids.delete())
    engine.dispose()


@pytest.mark.parametrize("state", ["before a statement", "during a statement"])
def test_a_server_whose_machine_is_lost_is_unavailable(empty_url: str, state: str) -> None:
    """After a power failure nothing closes its connections, and packets are not acknowledged."""
    server = make_url(empty_url)
    with _TcpPort(server) as port:
        through_port = server.set(host="127.0.0.1", port=port.number, query={})
        engine = make_engine(through_port.render_as_string(hide_password=False), silent_s=2.0)
        with reading(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        with ThreadPoolExecutor(1) as threads:
            if state == "before a statement":
                port.lose_everything()
                waiting = threads.submit(_count, engine)
            else:
                waiting = threads.submit(_sleep, engine)
                for _ in until(60, "The statement does not begin"):
                    if _sleeps(empty_url):
                        break
                port.lose_everything()
            try:
                with pytest.raises(StoreUnavailable, match="does not answer"):
                    waiting.result(30 * busy_factor())
            finally:
                port.close()
        engine.dispose()


def test_time_limits_in_the_address_of_the_database_are_kept(empty_url: str) -> None:
    given = {"tcp_user_timeout": "60000", "keepalives_idle": "77", "connect_timeout": "7"}
    url = make_url(empty_url).update_query_dict(given).render_as_string(hide_password=False)
    engine = make_engine(url)
    with engine.connect() as connection:
        used = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    assert {name: str(used.get(name)) for name in given} == given
    assert used["keepalives_count"] == "3"
    engine.dispose()


class _TcpPort:
    """A TCP port in front of a server."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.number = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._servers: list[socket.socket] = []

    def __enter__(self) -> _TcpPort:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection, including those whose other end is waiting."""
        for one in (self._listener, *self._clients, *self._servers):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def lose_everything(self) -> None:
        for client in self._clients:
            lose_everything(client)

    def _connected(self) -> socket.socket:
        folder = self._server.query.get("host")
        if not isinstance(folder, str):  # that of TEST_DATABASE_URL
            return socket.create_connection((self._server.host or "127.0.0.1", self._server.port or 5432))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.5432")
        return server

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                server = self._connected()
                self._servers.append(server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)


def _sleep(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(text("SELECT pg_sleep(100)")).rowcount


def _sleeps(url: str) -> bool:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        return connection.execute(query).fetchone() is not None


def test_a_table_that_is_being_rewritten_is_unavailable(empty_url: str) -> None:
    engine = make_engine(empty_url, lock_s=0.2)
    migrate(engine)
    with psycopg.connect(empty_url.replace("+psycopg", "")) as other:
        other.execute("SET idle_in_transaction_session_timeout = '20 s'")  # or a failure would wait for ever
        other.execute("LOCK TABLE webhook_ids IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock timeout"), reading(engine) as connection:
            connection.execute(select(webhook_ids))
        with writing(engine) as connection:
            lift_time_limits(connection)
            assert connection.execute(text("SHOW lock_timeout")).scalar() == "0"
    engine.dispose()
    change_settings(empty_url, "lock_timeout = '20 s'")
    engine = make_engine(empty_url, lock_s=0.2)
    with reading(engine) as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "20s"
    engine.dispose()


@pytest.mark.parametrize(
    "change", ["DROP TABLE webhook_ids", "ALTER TABLE webhook_ids DROP seen_at", "DROP SCHEMA public CASCADE"]
)
def test_tables_that_are_missing_during_a_restore_are_unavailable(empty_url: str, change: str) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    with writing(engine) as connection:
        connection.execute(text(change))
    with pytest.raises(StoreUnavailable, match="does not exist"), reading(engine) as connection:
        connection.execute(select(webhook_ids))
    engine.dispose()


def test_a_migration_may_take_longer(empty_url: str) -> None:
    engine, url = make_engine(empty_url, lock_s=0.1), empty_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as other, ThreadPoolExecutor(1) as pool:
        change_settings(empty_url, "statement_timeout = 100")
        other.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        migrating = pool.submit(migrate, engine)
        for _ in until(60, "The migration does not wait"):
            if migrating.done() or other.execute(_WAITS).fetchone():
                break
        other.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
        migrating.result()
    current, newest = revisions(engine)
    assert current == newest
    with reading(engine) as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "100ms"
    engine.dispose()


def test_a_backup_may_take_longer(empty_url: str, tmp_path: Path) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    rows = [
        {"email": f"{number}@example.org", "password_hash": "x" * 200, "created_at": datetime.now(UTC)}
        for number in range(3000)
    ]
    with writing(engine) as connection:
        connection.execute(insert(users), rows)
        # Reading an account takes a millisecond from now on: three seconds for all of them.
        connection.execute(text("ALTER TABLE users RENAME TO stored_users"))
        connection.execute(
            text("CREATE VIEW users AS SELECT * FROM stored_users WHERE pg_sleep(0.001) IS NOT NULL")
        )
    engine.dispose()
    change_settings(empty_url, "statement_timeout = 500")
    take(engine, tmp_path / "copy.sqlite3")
    copy = make_engine(tmp_path / "copy.sqlite3")
    assert _count(copy) == len(rows)
    copy.dispose()
    engine.dispose()


def test_a_backup_may_wait_for_its_disk(empty_url: str, tmp_path: Path) -> None:
    """While the copy is written, the transaction that reads is idle."""

    def stall(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if connection.dialect.name == "sqlite" and statement.startswith("INSERT INTO users"):
            time.sleep(2)

    engine = make_engine(empty_url, idle_s=1.0)
    migrate(engine)
    with writing(engine) as connection:
        row = {"email": "a@example.org", "password_hash": "x", "created_at": datetime.now(UTC)}
        connection.execute(insert(users).values(row))
    event.listen(Engine, "before_cursor_execute", stall)
    try:
        take(engine, tmp_path / "copy.sqlite3")
    finally:
        event.remove(Engine, "before_cursor_execute", stall)
    with reading(engine) as connection:
        assert connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "1s"
    engine.dispose()


def _count(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(users)).scalar_one())
