"""``catloader tokens``."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner, Result

from catloader.accounts.api_tokens import is_signed
from catloader.cli import main
from catloader.settings import Settings
from catloader.store.db.staff.audit_log import AuditLog
from catloader.wiring import build_engine, site_secret


def _run(folder: Path, *words: str, text: str | None = None, **settings: str) -> Result:
    env = {"CATLOADER_DATA_DIR": str(folder), "CATLOADER_MIN_FREE_BYTES": "0", **settings}
    return CliRunner().invoke(main, words, env=env, input=text, catch_exceptions=False)


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    _run(tmp_path, "user", "create", "ann@example.org", "--password-stdin", text="correct horse battery\n")
    words = ("tokens", "create", "ann@example.org", "camera", "--scope", "check", "--scope", "photos:read")
    token = _run(tmp_path, *words, "--days", "30").output.strip()
    assert is_signed(token, site_secret(Settings(data_dir=tmp_path)))
    listed = _run(tmp_path, "tokens", "list", "ann@example.org").output
    head, line = listed.splitlines()
    assert re.fullmatch(r" +1  never used +expires \d{4}-\d\d-\d\d +check photos:read  camera", line)
    assert head.split() == ["ID", "LAST", "USED", "ENDS", "SCOPES", "NAME"]
    assert head.index("ENDS") == line.index("expires") and head.index("SCOPES") == line.index("check")
    assert token not in listed
    revoked = _run(tmp_path, "tokens", "revoke", "ann@example.org", "1")
    assert revoked.output == "Token 1 of ann@example.org is revoked.\n"
    again = _run(tmp_path, "tokens", "revoke", "ann@example.org", "1")
    assert (again.exit_code, again.output) == (1, "Error: ann@example.org has no token 1.\n")
    assert _run(tmp_path, "tokens", "list", "ann@example.org").output == (
        "ann@example.org has no API token.\n"
    )
    engine = build_engine(Settings(data_dir=tmp_path))
    acts = [(entry.actor, entry.act, entry.target) for entry in AuditLog(engine).page(None, 9)]
    engine.dispose()
    assert acts == [
        ("command line", act, "ann@example.org") for act in ("revoked an API token", "made an API token")
    ]


def test_tokens_need_an_account(tmp_path: Path) -> None:
    _run(tmp_path, "db", "migrate")
    refused = _run(tmp_path, "tokens", "list", "cy@example.org")
    database = f"sqlite:///{tmp_path}/catloader.sqlite3"
    assert refused.exit_code == 1
    assert refused.output == f"Error: There is no account cy@example.org in the database {database}.\n"


def test_a_token_that_the_site_would_refuse_is_not_made(tmp_path: Path) -> None:
    """``DATABASE_URL`` leads to the site from every folder, but its key is in its data folder."""
    site, other = tmp_path / "site", tmp_path / "other"
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/catloader.sqlite3"}
    words = ("tokens", "create", "ann@example.org", "camera", "--scope", "check")
    password = "correct horse battery\n"
    _run(site, "user", "create", "ann@example.org", "--password-stdin", text=password, **database)
    assert _run(site, *words, **database).exit_code == 0
    refused = _run(other, *words, **database)
    assert (refused.exit_code, refused.output) == (
        1,
        "Error: The key that signs log-ins and tokens is neither in CATLOADER_SECRET_KEY nor in the data "
        f"folder {other}; set CATLOADER_SECRET_KEY or CATLOADER_DATA_DIR as for the site.\n",
    )
    assert list(other.iterdir()) == []
    key = (site / "secret-key").read_text()
    token = _run(other, *words, **database, CATLOADER_SECRET_KEY=key).output.strip()
    assert is_signed(token, key)
