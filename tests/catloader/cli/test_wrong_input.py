"""Wrong arguments lead to one plain sentence and an exit code that is not 0, and change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow
from catloader.store.db.migrate import migrate
from catloader.wiring import build_engine
from tests.support.environ import environ_without_settings

Run = Callable[..., Result]

_HUGE = "9" * 23
_RANGE, _NO_NAME = "is not in the range", "can't be the name of a plan"
_SENT = ("upload", "photo.jpg", "--server", "http://127.0.0.1:1")


@pytest.fixture
def _account(tmp_path: Path) -> None:
    engine = build_engine(Settings(data_dir=tmp_path))
    migrate(engine)
    Users(engine).create("ada@example.org", "hash", utcnow())
    engine.dispose()


@pytest.mark.slow
@pytest.mark.usefixtures("_account")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("tokens", "revoke", "ada@example.org", _HUGE), _RANGE),
        (("webhooks", "ls", "--limit", _HUGE), _RANGE),
        (("webhooks", "redeliver", *["verdict-999999"] * 2), "Error: 1 id not in the ledger"),
        (("webhooks", "redeliver", "verdict-1", "--given-up"), "Give the ids of messages, or --given-up."),
        (("webhooks", "redeliver", f"verdict-{_HUGE}"), "not in the ledger"),
        (("gc", "--older-than", _HUGE), _RANGE),
        (("check", "verify", "--sample", _HUGE), _RANGE),
        (("check", "recheck", "--status", "cat", "--limit", _HUGE), _RANGE),
        (("check", "recheck", "--since", "0001-01-01T00:00+14:00"), "is not an ISO time"),
        (("check", "recheck", "--since", "9999-12-31T23:59-14:00"), "is not an ISO time"),
        (("import", "", "--owner", "ada@example.org"), "It is empty"),
        (("export", ""), "It is empty"),
        (("export", "folder", "--owner", ""), "'--owner': it is empty"),
        (("backup", ""), "It is empty"),
        (("restore", ""), "It is empty"),
        (("bulk", "plan", ""), _NO_NAME),
        (("bulk", "plan", "."), _NO_NAME),
        (("bulk", "plan", "\udcff"), _NO_NAME),
        (("bulk", "plan", "a" * 300), "can't be used: File name too long"),
        (("bulk", "plan", "/proc/x/y"), "can't be used: "),
        (("bulk", "plan", "p", "--from", ""), "'--from': it is empty"),
        (("bulk", "plan", "p", "--labelled", ""), "'--labelled': it is empty"),
        (("bulk", "plan", "p", "--from", ".", "--status", "cat"), "--from selects all photos of the plan"),
        (("bulk", "run", ""), _NO_NAME),
        (("models", "fetch", "auto"), "efficientnet_lite2."),
        (("models", "fetch", "resnet18", "--mirror", ""), "'--mirror': it is empty"),
        (
            ("models", "fetch", "resnet18", "--mirror", "http://["),
            "'--mirror': it must be an address such as",
        ),
        (("models", "fetch", "resnet18", "--mirror", "http://u:p@h"), "must not contain a user name or a"),
    ],
    ids=lambda part: ascii(" ".join(part))[:60] if isinstance(part, tuple) else "",
)
def test_a_wrong_argument_is_reported_in_one_sentence(
    words: tuple[str, ...], reason: str, typed: Run
) -> None:
    result = typed(*words)
    assert result.exit_code in (1, 2)
    (sentence,) = (line for line in result.output.splitlines() if line.startswith("Error: "))
    assert result.output.endswith(f"{sentence}\n")
    assert reason in sentence


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"one\ntwo\n", "t\u20ac".encode(), b"t" * 1001])
def test_file_without_a_token_is_refused_before_anything_is_sent(
    content: bytes, typed: Run, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    result = typed(*_SENT, "--token-file", str(token))
    assert result.exit_code == 2
    assert f"{token} holds no API token, or more than one." in result.output


def test_a_caption_that_the_site_would_refuse_is_not_sent(typed: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("catloader_x")
    result = typed(*_SENT, "--token-file", str(tmp_path / "token"), "--caption", "\udcff")
    assert result.exit_code == 2
    assert "'--caption': it is not UTF-8." in result.output
    long = typed(*_SENT, "--token-file", str(tmp_path / "token"), "--caption", "x" * 501)
    assert (long.exit_code, long.output) == (1, "Error: The caption is longer than 500 characters.\n")


@pytest.mark.slow
def test_names_that_are_not_utf8_are_printed_with_escapes(typed: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("catloader_x")
    environ = {"CATLOADER_DATA_DIR": str(tmp_path / "data"), "CATLOADER_MIN_FREE_BYTES": "0"}
    typed("db", "migrate", **environ)
    missing, folder = os.fsencode(tmp_path) + b"/\xff.jpg", os.fsencode(tmp_path) + b"/\xff"
    upload = [
        b"upload",
        missing,
        b"--server",
        b"http://127.0.0.1:1",
        b"--token-file",
        os.fsencode(tmp_path / "token"),
    ]
    for words, code, printed in (
        (upload, 1, b"\\udcff.jpg: it can't be read (No such file or directory)."),
        ([b"export", folder], 0, b"0 photos in " + os.fsencode(tmp_path) + b"/\\udcff"),
    ):
        answer = subprocess.run(
            [os.fsencode(sys.executable), b"-m", b"catloader", *words],
            env=environ_without_settings(**environ),
            capture_output=True,
            check=False,
        )
        assert answer.returncode == code, answer.stderr
        assert printed in answer.stdout
        assert b"Traceback" not in answer.stderr
    assert (Path(os.fsdecode(folder)) / "photos.csv").exists()
