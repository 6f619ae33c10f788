"""The command line: help texts, settings, accounts, lists of waiting photos and of webhooks."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask, Response, jsonify
from sqlalchemy import insert
from werkzeug.serving import make_server

from catloader.checks.status import checker_status
from catloader.cli import main
from catloader.cli.context import pass_settings
from catloader.demo.client import free_port
from catloader.settings import Settings
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import webhook_deliveries
from catloader.store.db.staff.administration import Administration
from catloader.store.db.staff.audit_log import AuditLog
from catloader.wiring import build_engine
from checker import __version__
from tests.support.rows import add_photos, some_user

Run = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path) -> Run:
    """Return a function that runs a command on an empty data folder; no server listens at the site's port."""
    port = str(free_port())

    def run(*words: str, text: str | None = None, **environ: str) -> Result:
        env = {"CATLOADER_DATA_DIR": str(tmp_path), "CATLOADER_MIN_FREE_BYTES": "0", "CATLOADER_PORT": port}
        return CliRunner().invoke(main, words, env={**env, **environ}, input=text, catch_exceptions=False)

    return run


def _commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield (words, command) of every command and group."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner, name
            yield from _commands(inner, *path, name)


def test_version_is_printed_without_importing_the_libraries_of_other_commands() -> None:
    """These imports would take most of the time and memory of a command that does not need them."""
    code = "import sys, catloader.cli; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"sqlalchemy", "botocore", "numpy", "pydantic", "flask"}.isdisjoint(modules.split())


def test_version_is_printed(typed: Run) -> None:
    assert typed("--version").output == f"catloader {__version__}\n"


def test_a_second_factor_can_be_removed_by_command(typed: Run, tmp_path: Path) -> None:
    typed("user", "create", "ann@example.org", "--password-stdin", text="correct horse battery\n")
    engine = build_engine(Settings(data_dir=tmp_path))
    factors, user = SecondFactors(engine), Users(engine).by_email("ann@example.org")
    assert user
    factors.set_up(user.id, "A" * 32, 0, ["0" * 64], utcnow())
    outputs = [typed("user", "remove-factor", "ann@example.org").output for _ in range(2)]
    assert outputs == [
        "ann@example.org logs in with the password alone.\n",
        "ann@example.org has no second factor.\n",
    ]
    assert factors.of(user.id) is None
    assert [entry.act for entry in AuditLog(engine).page(None, 9)] == ["removed the second factor"]
    engine.dispose()


def test_links_of_the_command_line_can_be_used_once(typed: Run, tmp_path: Path) -> None:
    typed("user", "create", "ann@example.org", "--password-stdin", text="correct horse battery\n")
    reset = typed("user", "password-link", "ann@example.org").output
    invitation = typed("user", "invite").output
    assert reset.startswith("For ann@example.org, to be used once, until ")
    engine = build_engine(Settings(data_dir=tmp_path))
    links, now = OneTimeLinks(engine), utcnow()
    token = reset.splitlines()[1].removeprefix("/new-password/")
    assert links.user_of_reset(token, now) == "ann@example.org"
    defaults = Settings()
    assert not links.user_of_reset(token, now + timedelta(minutes=defaults.password_link_minutes))
    assert links.set_password(token, "a hash", now)
    assert links.set_password(token, "another hash", now) is None
    invited = invitation.splitlines()[1].removeprefix("/register?invitation=")
    assert links.is_invitation(invited, now)
    assert not links.is_invitation(invited, now + timedelta(days=defaults.invitation_days))
    assert [entry.actor for entry in AuditLog(engine).page(None, 9)] == ["command line"] * 2
    engine.dispose()
    assert typed("user", "password-link", "cy@example.org").exit_code == 1


def test_links_of_the_command_line_are_complete_if_the_address_of_the_site_is_set(typed: Run) -> None:
    site = "https://cats.example.org/photos"
    lines = typed("user", "invite", CATLOADER_PUBLIC_URL=f"{site}/").output.splitlines()
    assert "address" not in lines[0]
    assert lines[1].startswith(f"{site}/register?invitation=")


@pytest.mark.slow
def test_weights_that_cannot_be_imported_or_fetched_from_a_mirror_get_one_sentence(
    typed: Run, tmp_path: Path
) -> None:
    other = tmp_path / "model.onnx"
    other.write_text("not a model")
    refused = typed("models", "import", str(other))
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: model.onnx has an unsupported format; supported are ")
    mirrored = typed("models", "fetch", "resnet50_v1", "--mirror", "http://127.0.0.1:9/")
    assert mirrored.exit_code == 2
    assert "set a mirror in npm's own configuration" in mirrored.output


_GROUPS = [words for words, command in _commands(main) if isinstance(command, click.Group)]


@pytest.mark.parametrize("group", _GROUPS, ids=" ".join)
def test_summaries_of_commands_are_not_truncated(typed: Run, group: tuple[str, ...]) -> None:
    page = typed(*group, "--help")
    assert page.exit_code == 0
    assert "..." not in page.output.replace("[ARGS]...", "")


def test_every_command_opens_with_a_short_sentence() -> None:
    for _, command in _commands(main):
        first = (command.help or "").partition("\n\n")[0]
        assert re.fullmatch(r"[A-Z].{8,70}\.", first), command.name


def test_help_works_with_a_wrong_setting(typed: Run) -> None:
    assert typed("serve", "--help", CATLOADER_PORT="http").exit_code == 0
    refused = typed("settings", CATLOADER_PORT="http")
    assert refused.exit_code == 1
    assert refused.output == "Error: CATLOADER_PORT is 'http'; it must be a whole number from 1 to 65535.\n"


def test_settings_are_read_once_per_run() -> None:
    read: list[Settings] = []

    @click.group(invoke_without_command=True)
    @click.pass_context
    @pass_settings
    def outer(settings: Settings, context: click.Context) -> None:
        read.append(settings)

    @outer.command()
    @pass_settings
    def inner(settings: Settings) -> None:
        read.append(settings)

    CliRunner().invoke(outer, ["inner"], env={"CATLOADER_PORT": "9000"}, catch_exceptions=False)
    assert read[0] is read[1]
    assert read[0].port == 9000


def test_settings_mark_changed_values_and_hide_secrets(typed: Run) -> None:
    output = typed("settings", CATLOADER_SECRET_KEY="hush" * 4, CATLOADER_HOST="0.0.0.0").output
    assert "\n* CATLOADER_HOST=0.0.0.0\n" in output
    assert "\n  CATLOADER_WEB_THREADS=8\n" in output
    assert "\n  CATLOADER_ACCESS_LOG=false\n" in output  # as in docs/settings.md
    assert "\n* CATLOADER_SECRET_KEY=(hidden)\n" in output
    assert "\n  DATABASE_URL=\n" in output
    assert "hush" not in output


def test_accounts_are_created_listed_and_changed(typed: Run, tmp_path: Path) -> None:
    created = typed("user", "create", "Ann@example.org", "--password-stdin", text="correct horse battery\n")
    assert created.output == "ann@example.org is registered.\n"
    typed("user", "create", "bo@example.org", "--password-stdin", text="correct horse battery\n")
    promoted = typed("user", "promote", "bo@example.org", "--role", "reviewer")
    assert promoted.output == "bo@example.org is a reviewer.\n"
    assert typed("user", "promote", "ann@example.org").output == "ann@example.org is an administrator.\n"
    words = ("user", "reset-password", "bo@example.org", "--password-stdin")
    assert typed(*words, text="another horse battery\n").output == "bo@example.org has a new password.\n"
    typed("user", "create", "cy@example.org", "--admin", "--password-stdin", text="correct horse battery\n")
    engine = build_engine(Settings(data_dir=tmp_path))
    add_photos(engine, 1, owner_id=2)
    acts = [(entry.actor, entry.act, entry.target) for entry in AuditLog(engine).page(None, 9)]
    assert acts == [
        ("command line", "made admin", "cy@example.org"),
        ("command line", "set a new password", "bo@example.org"),
        ("command line", "made admin", "ann@example.org"),
        ("command line", "made reviewer", "bo@example.org"),
    ]
    engine.dispose()
    heading, ann, bo, *_ = typed("user", "ls").output.splitlines()
    assert heading.split() == ["ID", "ROLE", "SINCE", "LAST", "LOG-IN", "PHOTOS", "E-MAIL"]
    assert re.fullmatch(r" +1  admin +\d{4}-\d\d-\d\d  - +0  ann@example\.org", ann)
    assert re.fullmatch(r" +2  reviewer  \d{4}-\d\d-\d\d  - +1  bo@example\.org", bo)
    assert heading.index("E-MAIL") == ann.index("ann@") == bo.index("bo@")
    engine = build_engine(Settings(data_dir=tmp_path))
    Administration(engine).disable(2, 1, utcnow())
    engine.dispose()
    assert typed("user", "ls").output.splitlines()[2] == f"{bo} (disabled)"
    missing = typed("user", "promote", "di@example.org")
    database = f"sqlite:///{tmp_path}/catloader.sqlite3"
    assert missing.exit_code == 1
    assert missing.output == f"Error: There is no account di@example.org in the database {database}.\n"


def test_a_list_without_accounts_names_the_database(typed: Run, tmp_path: Path) -> None:
    typed("db", "migrate")
    assert typed("user", "ls").output == (
        f"There is no account in the database sqlite:///{tmp_path}/catloader.sqlite3; "
        "`catloader user create` makes one.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("user", "ls"),
        ("user", "promote", "ann@example.org"),
        ("tokens", "list", "ann@example.org"),
        ("backup", "kept"),
        ("export", "kept"),
        ("gc",),
        ("check", "list"),
        ("webhooks", "ls"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_for_an_existing_site_makes_no_new_site(
    typed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = tmp_path / "data"
    refused = typed(*words, CATLOADER_DATA_DIR="data", DATABASE_URL="")
    assert refused.exit_code == 1
    assert refused.output == (
        f"Error: There is no site in the database {missing}/catloader.sqlite3: set "
        "CATLOADER_DATA_DIR or DATABASE_URL as for the site; `catloader serve` makes a new site.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["user", "gc", "backup", pytest.param("doctor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("url", ["x.db", "{}/x%20y.db", "file:x.db?uri=true", "file://{}/x%20y.db?uri=true"])
def test_a_command_makes_no_file_for_an_address_of_sqlite(
    typed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, command: str
) -> None:
    (folder := tmp_path / "wrong").mkdir()
    monkeypatch.chdir(folder)
    url = f"sqlite:///{url.format(folder)}"
    words = {"user": ["ls"], "backup": ["kept"]}.get(command, [])
    result = typed(command, *words, CATLOADER_DATA_DIR="data", DATABASE_URL=url)
    file = folder / ("x.db" if "x.db" in url else "x y.db")
    expected = f"{file} does not exist yet" if command == "doctor" else f"no site in the database {file}: set"
    assert expected in result.output
    assert [path.name for path in folder.iterdir()] in ([], ["data"] if command == "doctor" else [])


def test_the_first_account_makes_the_database_and_names_it_in_the_log(
    typed: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "empty.sqlite3").touch()
    empty = typed("user", "ls", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3").output
    assert empty.startswith(f"Error: There is no site in the database sqlite:///{tmp_path}/empty.sqlite3: ")
    for email in ("ann@example.org", "bo@example.org"):
        created = typed("user", "create", email, "--password-stdin", text="a long pass phrase\n")
        assert (created.exit_code, created.stdout) == (0, f"{email} is registered.\n")
    assert caplog.messages == [f"A new database was made: sqlite:///{tmp_path}/catloader.sqlite3."]


def test_migrate_names_the_database(typed: Run, tmp_path: Path) -> None:
    output = typed("db", "migrate").output
    assert output == f"sqlite:///{tmp_path}/catloader.sqlite3 is up to date.\n"


def test_list_shows_waiting_photos_their_owners_and_the_checker(typed: Run, tmp_path: Path) -> None:
    typed("db", "migrate")
    engine = build_engine(Settings(data_dir=tmp_path))
    owner, now = some_user(engine).id, utcnow()
    (waiting,) = add_photos(engine, 1, owner_id=owner)
    (in_hand,) = add_photos(
        engine, 1, owner_id=owner, status="checking", lease_until=now + timedelta(minutes=2), attempts=1
    )
    assert [photo.id for photo in Photos(engine).waiting(9)] == [in_hand, waiting]
    engine.dispose()
    counts, checker, *rows = typed("check", "list", CATLOADER_MIN_FREE_BYTES="0").output.splitlines()
    assert counts.startswith("pending 1, checking 1, cat 0, ")
    assert re.fullmatch(
        r"checker: not running \(no answer at http://127\.0\.0\.1:\d+; CATLOADER_HOST, CATLOADER_PORT\), "
        "1 in hand",
        checker,
    )
    assert f"user {owner}" in rows[0] and "in hand until" in rows[0] and "attempts 1" in rows[0]
    assert "due " in rows[1] and "attempts 0" in rows[1]


@pytest.fixture
def reporting() -> Iterator[Callable[[object], str]]:
    """Yield a function that serves ``/readyz`` with JSON or bytes, and returns the address."""
    servers = []

    def start(report: object) -> str:
        app = Flask("readyz")
        answer = Response(report) if isinstance(report, Iterator) else None
        app.add_url_rule("/readyz", view_func=lambda: answer or (jsonify(report), 503))
        server = make_server("127.0.0.1", 0, app, threaded=True)
        servers.append(server)

        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.port}"

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ({"checker": {"state": "ready", "photos_in_hand": 1}}, "running"),
        ({"state": "ready"}, "running"),
        ({"checker": {"state": "loading"}}, "loading the model"),
        ({"checker": {"state": "refused", "reason": "no weights"}}, "refuses to check (no weights)"),
        ({"state": "closed"}, "not running"),
    ],
)
def test_checker_status_is_what_the_checker_reports(
    reporting: Callable[[object], str], report: object, status: str
) -> None:
    assert checker_status(Settings(), reporting(report)) == status


@pytest.mark.parametrize(
    "report",
    [
        ["ready"],
        "ready",
        {"checker": "ready"},
        {"state": ["ready"]},
        iter([100_000 * b"["]),
        itertools.repeat(65536 * b" "),
    ],
    ids=["list", "text", "nested text", "nested list", "deep", "endless"],
)
def test_a_response_of_another_program_is_not_taken_for_a_checker(
    reporting: Callable[[object], str], report: object
) -> None:
    assert checker_status(Settings(), reporting(report)).startswith("not running (no answer at http://")


def test_checker_status_is_read_from_where_the_settings_say_that_checks_run(
    reporting: Callable[[object], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a proxy for the internet must not be used
    external = Settings(dispatch="external", checker_url=reporting({"state": "ready"}) + "/")
    assert checker_status(external, "http://127.0.0.1:1") == "running"
    assert "catloader worker" in checker_status(Settings(dispatch="off"), "http://127.0.0.1:1")


def test_the_list_of_webhooks_begins_with_the_newest_and_obeys_its_limit(typed: Run, tmp_path: Path) -> None:
    typed("db", "migrate")
    engine, moment = build_engine(Settings(data_dir=tmp_path)), datetime(2026, 1, 31, 12, tzinfo=UTC)
    states = ("start", "given_up", "delivered", "given_up", "waiting")
    rows = [
        {"source_id": number, "payload": "", "state": state, "next_attempt_at": moment, "created_at": moment}
        for number, state in enumerate(states)
    ]
    with writing(engine) as connection:
        connection.execute(insert(webhook_deliveries), rows)
    engine.dispose()

    def listed(*words: str) -> list[str]:
        lines = typed("webhooks", "ls", *words).output.splitlines()
        assert all("  2026-01-31 12:00:00 UTC  " in line for line in lines)
        return [line.split()[0] for line in lines]

    assert listed() == ["verdict-4", "verdict-3", "verdict-2", "verdict-1"]
    assert listed("--limit", "2") == ["verdict-4", "verdict-3"]
    assert listed("--given-up", "--limit", "1") == ["verdict-3"]


@pytest.mark.parametrize(("words", "answer"), [((), "no webhook"), (("--given-up",), "no given-up webhook")])
def test_an_empty_list_of_webhooks_is_a_sentence(tmp_path: Path, words: tuple[str, ...], answer: str) -> None:
    env = {"CATLOADER_DATA_DIR": str(tmp_path), "CATLOADER_MIN_FREE_BYTES": "0"}
    CliRunner().invoke(main, ["db", "migrate"], env=env, catch_exceptions=False)
    result = CliRunner().invoke(main, ["webhooks", "ls", *words], env=env, catch_exceptions=False)
    assert result.output == f"There is {answer} in the ledger.\n"
