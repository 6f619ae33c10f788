"""The lines on the terminal say where the site stores its photos."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from pydantic import SecretStr

from catloader.server.announce import announcement
from catloader.settings import Settings
from catloader.wiring import Services


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("", "SQLite in {folder}/"),
        ("sqlite:////srv/cats.db", "SQLite in /srv/cats.db"),
        ("sqlite:///cats.db", "SQLite in cats.db"),
        ("postgresql://anna:secret@db/sqlite", "PostgreSQL"),
    ],
)
def test_ready_line_names_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, database: str
) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(url), dispatch="off")
    announce = announcement(settings, "Ready at {url}", checks_here=False)
    announce("http://cats", cast(Services, None))
    line = capsys.readouterr().out
    assert line.startswith(f"Ready at http://cats (embedded SeaweedFS; {database.format(folder=tmp_path)}); ")
    assert "secret" not in line
