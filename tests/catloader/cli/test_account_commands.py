"""`catloader user`: the changes of a command, its row in the audit log, and how passwords are read."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from catloader.cli import main
from catloader.cli.accounts import _read_password
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.migrate import migrate
from catloader.store.db.staff.audit_log import AuditLog
from catloader.wiring import build_engine

_COMMANDS = {
    "made admin": ["promote", "anna@example.org"],
    "made reviewer": ["promote", "anna@example.org", "--role", "reviewer"],
    "set a new password": ["reset-password", "anna@example.org", "--password-stdin"],
    "made a password link": ["password-link", "anna@example.org"],
    "invited somebody": ["invite"],
}


def _run(folder: Path, *words: str) -> None:
    environ = {"CATLOADER_DATA_DIR": str(folder), "CATLOADER_MIN_FREE_BYTES": "0"}
    typed = "correct horse battery\n"
    result = CliRunner().invoke(main, ["user", *words], env=environ, input=typed, catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("act", [*_COMMANDS, "made admin of a new account"])
def test_a_command_that_can_not_be_recorded_changes_nothing(tmp_path: Path, act: str) -> None:
    words = _COMMANDS.get(act, ["create", "eve@example.org", "--admin", "--password-stdin"])
    engine = build_engine(Settings(data_dir=tmp_path))
    migrate(engine)
    Users(engine).create("anna@example.org", "hash", utcnow())
    before = Users(engine).all()
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE audit_log RENAME TO away"))
    with pytest.raises(OperationalError, match="no such table: audit_log"):
        _run(tmp_path, *words)
    assert Users(engine).all() == before
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE away RENAME TO audit_log"))
    _run(tmp_path, *words)
    (entry,) = AuditLog(engine).page(None, 9)
    assert (entry.actor, entry.act) == ("command line", act.removesuffix(" of a new account"))
    engine.dispose()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_password_that_is_not_utf8_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, errors: str
) -> None:
    """Python accepts such bytes (surrogateescape) if the locale is C, as in many containers."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff horse battery\n"), "utf-8", errors))
    with pytest.raises(click.UsageError, match=r"^The password is not UTF-8\.$"):
        _read_password(from_stdin=True)


def test_password_is_the_first_line_without_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may come from Windows (CR LF). Spaces belong to the password."""
    for line in (" a horse \r\nb", " a horse \n", " a horse "):
        # Linux does not translate line ends, unlike the default of TextIOWrapper.
        stdin = io.TextIOWrapper(io.BytesIO(line.encode()), "utf-8", newline="\n")
        monkeypatch.setattr(sys, "stdin", stdin)
        assert _read_password(from_stdin=True) == " a horse "


def test_password_without_a_terminal_is_refused_in_one_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "catloader", "user", "create", "anna@example.org"],
        env={**os.environ, "CATLOADER_DATA_DIR": str(tmp_path), "CATLOADER_MIN_FREE_BYTES": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,  # detaches from the terminal that runs the tests
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    last = "Error: There is no terminal to type the password at; use --password-stdin."
    assert ended.stderr.splitlines()[2:] == ["", last]
    assert list(tmp_path.iterdir()) == []
