"""The doctor's rows about disk, temporary folder, clocks, database, model and wake-ups."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url
from werkzeug.serving import make_server

from catloader.demo.client import free_port
from catloader.doctor import database, dispatch, machine, model
from catloader.doctor.clocks import clock_row
from catloader.doctor.examination import _denied_rows
from catloader.doctor.rows import Row
from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.store.db.engine import make_engine, utcnow, writing
from catloader.store.db.migrate import migrate, revisions
from catloader.store.db.server_clock import server_time
from catloader.wiring import build_engine, build_signer
from checker.http import create_checker_app
from checker.isolation import sandbox
from models.catalogue import entry_named
from tests.support.broker import broker_server
from tests.support.rows import add_photos


def _by_part(rows: Iterator[Row]) -> dict[str, Row]:
    return {row.part: row for row in rows}


def test_a_machine_in_order_has_no_failed_row(tmp_path: Path) -> None:
    found = _by_part(machine.rows(Settings(data_dir=tmp_path / "data", min_free_bytes=0)))
    assert {row.result for row in found.values()} <= {"ok", "note"}
    assert list(found) == ["Python", "data folder", "temporary folder", "address", "processor", "decoders"]


def test_decoders_that_do_not_start_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    row = _by_part(machine.rows(Settings(data_dir=tmp_path, min_free_bytes=0)))["decoders"]
    assert row.result == "failed"
    assert row.sentence == "The process that starts the decoders can't be started: No such file or directory."


def test_a_kernel_that_confines_decoders_less_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_MACHINES", {})
    row = _by_part(machine.rows(Settings(data_dir=tmp_path, min_free_bytes=0)))["decoders"]
    assert row.result == "note"
    assert "no seccomp, so a decoder" in row.sentence


def test_a_temporary_folder_with_too_little_space_for_uploads_is_a_note(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, min_free_bytes=0, max_file_bytes=2**50)
    row = _by_part(machine.rows(settings))["temporary folder"]
    assert row.result == "note"
    assert " are free, and uploads in progress may need " in row.sentence


@pytest.mark.parametrize(
    ("host", "result", "sentence"),
    [
        ("127.0.0.1", "ok", "Port {port} of 127.0.0.1 is free."),
        ("127.0.0.1:8000", "failed", "CATLOADER_HOST is '127.0.0.1:8000', which is not an address."),
        ("203.0.113.7", "failed", "203.0.113.7 is not an address of this machine; set CATLOADER_HOST."),
    ],
)
def test_an_address_that_a_start_would_refuse_is_named(
    tmp_path: Path, host: str, result: str, sentence: str
) -> None:
    settings = Settings(data_dir=tmp_path / "data", min_free_bytes=0, host=host, port=free_port())
    row = _by_part(machine.rows(settings))["address"]
    assert (row.result, row.sentence) == (result, sentence.format(port=settings.port))


def test_a_port_in_use_is_noted_because_the_site_itself_may_have_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        row = _by_part(machine.rows(Settings(data_dir=tmp_path, min_free_bytes=0, port=port)))["address"]
    sentence = f"Port {port} of 127.0.0.1 is in use, by this site or by another program."
    assert (row.result, row.sentence) == ("note", sentence)


def test_a_full_disk_is_a_failed_row(small_disk: Path) -> None:
    row = _by_part(machine.rows(Settings(data_dir=small_disk)))["data folder"]
    assert row.result == "failed"
    assert "2 MiB free" in row.sentence or "3 MiB free" in row.sentence


@pytest.mark.parametrize(
    ("apart_s", "result"), [(0, "ok"), (59, "ok"), (-59, "ok"), (61, "failed"), (-3600, "failed")]
)
def test_clocks_may_differ_by_a_minute(apart_s: int, result: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    row = clock_row("clock", now + timedelta(seconds=apart_s), now)
    assert row.result == result
    if result == "failed":
        assert ("ahead of" if apart_s > 0 else "behind") in row.sentence


def _settings(engine: Engine, **changes: Any) -> Settings:
    url = engine.url.render_as_string(hide_password=False)
    return Settings(database_url=SecretStr(url), **changes)


def test_database_is_reached_and_its_clock_compared(engine: Engine) -> None:
    found = _by_part(database.rows(_settings(engine)))
    parts = ["database", "migrations", "database clock", "waiting photos"]
    assert list(found) == parts + ["notifications"] * (engine.dialect.name == "postgresql")
    assert {row.result for row in found.values()} == {"ok"}
    assert found["waiting photos"].sentence == "No photo waits for its check."
    assert abs((server_time(engine) - utcnow()).total_seconds()) < 30


def test_photos_that_wait_long_are_a_note(engine: Engine) -> None:
    add_photos(engine, 2)
    sentence = _by_part(database.rows(_settings(engine)))["waiting photos"].sentence
    assert sentence.startswith("Photos that wait for their check: 2; the first has been due for ")
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE images SET next_attempt_at = '2026-01-01 00:00:00'")
    assert _by_part(database.rows(_settings(engine)))["waiting photos"].result == "note"


def test_missing_and_outdated_tables_are_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite3").touch()
    engine = make_engine(tmp_path / "a.sqlite3")
    row = _by_part(database.rows(_settings(engine)))["migrations"]
    sentence = "There are no tables. The next start, or `catloader db migrate`, makes them."
    assert (row.result, row.sentence) == ("note", sentence)
    migrate(engine)
    current, newest = revisions(engine)
    assert current == newest
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    row = _by_part(database.rows(_settings(engine)))["migrations"]
    assert (row.result, f"at revision 0001, not at {newest}" in row.sentence) == ("note", True)
    engine.dispose()


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)
def test_a_role_that_may_not_create_tables_is_named_before_and_at_the_start(empty_url: str) -> None:
    """Since PostgreSQL 15, only the owner of a new database may."""
    role = f"guest_{secrets.token_hex(4)}"
    owner = make_engine(empty_url)
    guest = make_engine(make_url(empty_url).set(username=role).render_as_string(hide_password=False))
    grant = f"GRANT CREATE ON SCHEMA public TO {role}"
    lack = f"The role {role} may not create tables: let it own the database, or run {grant}."
    with writing(owner) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
    row = _by_part(database.rows(_settings(guest)))["migrations"]
    assert (row.result, row.sentence) == ("failed", f"There are no tables. {lack}")
    with pytest.raises(StartupError, match=lack):
        migrate(guest)
    with writing(owner) as connection:
        connection.exec_driver_sql(grant)
    migrate(guest)
    with writing(owner) as connection:  # migrations may need no new table
        connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA public FROM {role}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0040'")
    assert _by_part(database.rows(_settings(guest)))["migrations"].result == "note"
    guest.dispose()
    with writing(owner) as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")
    owner.dispose()


def test_tables_of_a_newer_version_are_a_failed_row(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "a.sqlite3")
    migrate(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    row = _by_part(database.rows(_settings(engine)))["migrations"]
    assert row.result == "failed"
    assert "at revision 9999, which this version does not know" in row.sentence
    engine.dispose()


def test_unreachable_and_missing_databases_are_failed_rows(tmp_path: Path) -> None:
    (row,) = database.rows(Settings(database_url=SecretStr("postgresql://u:secret@127.0.0.1:1/d")))
    assert row.result == "failed"
    assert "does not answer" in row.sentence and "secret" not in row.sentence
    (row,) = database.rows(Settings(data_dir=tmp_path))
    assert row.result == "ok" and "the first start makes it" in row.sentence
    assert list(tmp_path.iterdir()) == []


def test_a_path_of_another_user_is_a_failed_row() -> None:
    def rows() -> Iterator[Row]:
        yield Row("database", "ok", "It is there.")
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data/lock")

    last = list(_denied_rows("database", rows()))[1]
    assert last == Row("database", "failed", "/data/lock can't be used: Permission denied.")

    def failing() -> Iterator[Row]:
        yield Row("database", "ok", "It is there.")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        list(_denied_rows("database", failing()))


def test_a_loadable_model_is_in_order(tmp_path: Path) -> None:
    found = _by_part(model.rows(Settings(data_dir=tmp_path, model="efficientnet_lite0")))
    assert {row.result for row in found.values()} <= {"ok", "note"}
    assert "its self-test passed" in found["variant"].sentence
    slower = Settings(data_dir=tmp_path, model="efficientnet_lite0", precision="bf16", runtime="openvino")
    assert _by_part(model.rows(slower))["model"].result == "ok"


def test_broken_and_missing_weights_are_a_failed_row(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, model="resnet18", weights_dir=tmp_path)
    (row,) = model.rows(settings)
    assert (row.result, "resnet18" in row.sentence) == ("failed", True)
    (tmp_path / str(entry_named("resnet18").file)).write_bytes(b"not weights")
    (row,) = model.rows(settings)
    assert row.result == "failed"
    assert "digest" in row.sentence or "bytes" in row.sentence


def test_a_variant_that_this_machine_cannot_run_is_a_failed_row(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, model="efficientnet_lite0", device="cpu", runtime="torch", precision="int8"
    )
    assert _by_part(model.rows(settings))["variant"].result == "failed"


def test_wake_up_that_reaches_no_checker_is_a_failed_row(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, dispatch="external", checker_url="http://127.0.0.1:1")
    row = dispatch.row(settings)
    assert (row.result, "http://127.0.0.1:1" in row.sentence) == ("failed", True)
    assert dispatch.row(Settings(data_dir=tmp_path, dispatch="off")).result == "ok"
    assert dispatch.row(Settings(data_dir=tmp_path, port=1)).result == "note"


@pytest.fixture
def checker(tmp_path: Path) -> Iterator[tuple[str, dict[str, str], threading.Event]]:
    """Yield the address of a Cat Checker, its state, and an event that each wake-up sets."""
    settings = Settings(data_dir=tmp_path)
    engine = build_engine(settings)
    migrate(engine)
    state, woken = {"state": "loading"}, threading.Event()
    app = create_checker_app(woken.set, lambda: state, build_signer(settings, engine).refusal)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.port}", state, woken
    server.shutdown()
    server.server_close()
    engine.dispose()


def test_a_wake_up_reaches_a_checker_elsewhere_whatever_its_state(
    checker: tuple[str, dict[str, str], threading.Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, state, woken = checker
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a proxy for the internet must not be used
    settings = Settings(data_dir=tmp_path, dispatch="external", checker_url=f"{url}/")
    row = dispatch.row(settings)
    assert (row.result, row.sentence) == (
        "note",
        f"A wake-up reached {url}; checker: loading the model.",
    )
    assert woken.is_set()
    state["state"] = "ready"
    assert dispatch.row(settings).result == "ok"


def test_a_site_that_checks_photos_itself_needs_no_wake_up(
    checker: tuple[str, dict[str, str], threading.Event], tmp_path: Path
) -> None:
    url, state, woken = checker
    state["state"] = "ready"
    port = int(url.rpartition(":")[2])
    row = dispatch.row(Settings(data_dir=tmp_path, dispatch="thread", port=port))
    assert (row.result, row.sentence) == ("ok", f"The site at {url} runs and checks photos itself.")
    assert not woken.is_set()
    row = dispatch.row(Settings(data_dir=tmp_path, dispatch="internal", port=1))
    assert (row.result, row.sentence.partition(" (")[0]) == (
        "note",
        "The site checks photos itself; now: not running",
    )


def test_a_wake_up_passes_through_the_broker_and_back() -> None:
    with broker_server() as server:
        settings = Settings(dispatch="celery", broker_url=SecretStr(server.url))
        assert dispatch.row(settings).result == "ok"
    row = dispatch.row(settings)
    assert (row.result, "does not answer" in row.sentence) == ("failed", True)
