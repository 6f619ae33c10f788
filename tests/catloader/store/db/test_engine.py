"""The engine: transactions, errors, and the options of each kind of database."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, insert, select, text, update
from sqlalchemy.exc import StatementError

from catloader.errors import StoreUnavailable
from catloader.store.db.engine import for_checks, for_requests, make_engine, reading, writing
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import deletions, users, webhook_ids


def _add_user(engine: Engine) -> None:
    with writing(engine) as connection:
        row = {"email": "a@b.c", "password_hash": "", "created_at": datetime.now(UTC)}
        connection.execute(insert(users).values(row))


def test_transactions_that_read_before_they_write_are_serialised(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(deletions).values(kind="photo", key="k", not_before=datetime.now(UTC)))
    start = threading.Barrier(8)

    def count_up(_: int) -> None:
        start.wait()
        for _ in range(10):
            with writing(engine) as connection:
                query = select(deletions.c.attempts).with_for_update()
                seen = connection.execute(query).scalar_one()
                connection.execute(update(deletions).values(attempts=seen + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(8)))
    with reading(engine) as connection:
        assert connection.execute(select(deletions.c.attempts)).scalar_one() == 80


def test_readers_do_not_wait_for_a_writer(engine: Engine) -> None:
    _add_user(engine)
    with writing(engine) as writer:
        writer.execute(update(users).values(email="new@b.c"))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(_email, engine).result(timeout=60) == "a@b.c"
    assert _email(engine) == "new@b.c"


def _email(engine: Engine) -> str:
    with reading(engine) as connection:
        return str(connection.execute(select(users.c.email)).scalar_one())


def test_failed_block_writes_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        connection.execute(insert(webhook_ids).values(id="x", seen_at=datetime.now(UTC)))
        raise ZeroDivisionError
    with reading(engine) as connection:
        assert connection.execute(select(webhook_ids)).all() == []


def test_times_are_stored_in_utc_and_naive_times_are_refused(engine: Engine) -> None:
    noon = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    with writing(engine) as connection:
        connection.execute(insert(webhook_ids).values(id="x", seen_at=noon))
    with reading(engine) as connection:
        kept = connection.execute(select(webhook_ids.c.seen_at)).scalar_one()
    assert (kept, kept.tzinfo) == (noon, UTC)
    naive = insert(webhook_ids).values(id="y", seen_at=datetime(2026, 7, 1))
    with pytest.raises(StatementError, match="naive"), writing(engine) as connection:
        connection.execute(naive)


def test_sqlite_is_configured_for_many_processes(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'new.sqlite3'}")
    with reading(engine) as connection:
        pragmas = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 1, 30_000]
    engine.dispose()


def test_a_new_sqlite_file_is_private_and_an_existing_file_keeps_its_mode(tmp_path: Path) -> None:
    path, older = tmp_path / "new.sqlite3", tmp_path / "older.sqlite3"
    with closing(sqlite3.connect(older)) as made:
        made.execute("CREATE TABLE t (i INTEGER)")
    older.chmod(0o664)
    mask = os.umask(0o022)
    try:
        for engine in (make_engine(path), make_engine(f"sqlite:///{older}")):
            with writing(engine) as connection:
                connection.execute(text("CREATE TABLE u (i INTEGER)"))
                files = sorted(tmp_path.glob(f"{Path(engine.url.database or '').name}*"))
                modes = {file.stat().st_mode & 0o777 for file in files}
            engine.dispose()
            assert len(files) == 3
            assert modes == {0o600 if path in files else 0o664}
    finally:
        os.umask(mask)


def test_acknowledged_commits_are_synced_to_disk_and_checks_are_not(tmp_path: Path) -> None:
    """Both kinds of transactions share one connection pool."""
    engine = make_engine(tmp_path / "a.sqlite3", connections=1)
    without_log = make_engine(f"sqlite:///file:{tmp_path}/b.sqlite3?vfs=unix-dotfile&uri=true")

    def mode(engine: Engine) -> int:
        with writing(engine) as connection:
            return int(connection.execute(text("PRAGMA synchronous")).scalar_one())

    normal, full = 1, 2
    for _ in range(2):
        assert mode(for_checks(engine)) == normal
        assert mode(for_requests(engine)) == full
        assert mode(engine) == full
    assert mode(for_checks(without_log)) == full
    engine.dispose()
    without_log.dispose()


def test_pragmas_of_a_connection_are_set_once(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "a.sqlite3", connections=1)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    of_requests = for_requests(engine)
    for one in (of_requests, of_requests, engine, of_requests):
        with writing(one):
            statements.append(";")
    pragmas = [part.count("PRAGMA") for part in " ".join(statements).split(";")]
    assert pragmas == [2, 0, 2, 2, 0]
    engine.dispose()


def test_sqlite_without_shared_memory_uses_a_rollback_journal_and_logs_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The test uses a VFS of SQLite that has no shared memory, like a network file system."""
    engine = make_engine(f"sqlite:///file:{tmp_path}/a.sqlite3?vfs=unix-dotfile&uri=true")
    migrate(engine)
    _add_user(engine)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: _email(engine), range(20))) == {"a@b.c"}
    with reading(engine) as connection:
        pragmas = [
            connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous")
        ]
    full = 2  # which keeps a rollback journal intact after a power failure
    assert pragmas == ["delete", full]
    assert len([record for record in caplog.records if "write-ahead log" in record.message]) == 1
    engine.dispose()


def test_a_locked_database_is_reported_within_the_time_limit_of_requests(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "a.sqlite3")
    migrate(engine)
    with writing(engine), pytest.raises(StoreUnavailable, match="locked"):
        _add_user(for_requests(engine, busy_s=0.2))
    _add_user(for_requests(engine, busy_s=0.2))
    engine.dispose()


def test_a_locked_database_without_a_write_ahead_log_blocks_no_connection_for_long(tmp_path: Path) -> None:
    """Its journal mode can't change while another process writes; the caller's own limit applies."""
    path = tmp_path / "a.sqlite3"
    engine = for_requests(make_engine(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="locked"):
            migrate(engine)
        assert time.monotonic() - started_s < 10
    migrate(engine)
    with reading(engine) as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
    engine.dispose()


@pytest.mark.parametrize("name", ["cats?", "My%20Photos", "a#b", "ä ö"])
def test_path_names_exactly_that_sqlite_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    engine = make_engine(folder / "a.sqlite3")
    migrate(engine)
    engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "a.sqlite3").exists()


@pytest.mark.parametrize("password", ["p@ss/w:rd?%41#", "plain"])
def test_pgpassword_accepts_any_password_unchanged(
    postgres_url: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """compose.yaml passes the password in this way, because a URL would need escaping."""
    engine = make_engine(postgres_url)
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS ann")
        connection.exec_driver_sql(f"CREATE ROLE ann LOGIN PASSWORD '{password.replace('%', '%%')}'")
        rules = Path(str(connection.exec_driver_sql("SHOW hba_file").scalar_one()))
    if not rules.exists():
        pytest.skip("the server runs elsewhere")
    before = rules.read_text()
    try:
        rules.write_text("local all ann scram-sha-256\n" + before)
        _reload(engine)
        anns = make_engine(postgres_url.replace("tests@", "ann@"))
        monkeypatch.setenv("PGPASSWORD", "another")
        with pytest.raises(StoreUnavailable, match="password authentication failed"):
            _use(anns)
        monkeypatch.setenv("PGPASSWORD", password)
        _use(anns)
        anns.dispose()
    finally:
        rules.write_text(before)
        _reload(engine)
        engine.dispose()


def _use(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.exec_driver_sql("SELECT 1")


def _reload(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()


def test_no_statement_is_prepared_on_the_server(postgres_url: str) -> None:
    """A transaction pooler would run the next transaction on a connection without the prepared statement."""
    engine = make_engine(postgres_url, connections=1)
    query = text("SELECT count(*) FROM pg_prepared_statements WHERE :x > 0")
    for x in range(1, 21):  # psycopg prepares a statement at its fifth execution by default
        with reading(engine) as connection:
            assert connection.execute(query, {"x": x}).scalar_one() == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql+psycopg://nobody:secret@127.0.0.1:1/none",
            r"The database postgresql\+psycopg://nobody:\*\*\*@127\.0\.0\.1:1/none does not answer: "
            r"[^?]*Connection refused\.",
        ),
        (
            "sqlite:////nowhere/at/all.sqlite3",
            r"The database sqlite:////nowhere/at/all\.sqlite3 does not answer: "
            r"unable to open database file\.",
        ),
    ],
)
def test_error_names_an_unreachable_database_and_the_reason(url: str, message: str) -> None:
    engine = make_engine(url)
    for use in (lambda: _email(engine), lambda: _add_user(engine), lambda: migrate(engine)):
        with pytest.raises(StoreUnavailable) as raised:
            use()
        assert re.fullmatch(message, str(raised.value))
    engine.dispose()


def test_next_use_works_after_a_lost_connection(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with pytest.raises(StoreUnavailable), reading(engine) as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with reading(engine) as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        connection.execute(text("SELECT 1"))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def test_exhausted_pool_is_store_unavailable(tmp_path: Path) -> None:
    full = make_engine(f"sqlite:///{tmp_path / 'new.sqlite3'}", connections=1, wait_s=0.05)
    with reading(full), pytest.raises(StoreUnavailable), reading(full):
        pass
    full.dispose()


def test_postgresql_ends_an_idle_transaction(postgres_url: str) -> None:
    """Otherwise its locks would withhold photos from other checkers while its own checker is stopped."""
    engine, silent = make_engine(postgres_url), make_engine(postgres_url, idle_s=0.3)
    migrate(engine)
    row = {"id": "idle", "seen_at": datetime.now(UTC)}
    with pytest.raises(StoreUnavailable), writing(silent) as connection:
        connection.execute(insert(webhook_ids).values(row))
        with writing(engine) as other:
            other.execute(insert(webhook_ids).values(row))  # waits for the first one to end
        connection.execute(select(1))
    with reading(silent) as connection:  # a new connection of the same pool
        assert connection.execute(select(1)).scalar() == 1
    with writing(engine) as connection:
        assert connection.execute(webhook_ids.delete().where(webhook_ids.c.id == "idle")).rowcount == 1
    engine.dispose()
    silent.dispose()
