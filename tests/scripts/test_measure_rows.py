"""Row sizes of real tables, in miniature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import measure_rows


def test_row_sizes_include_their_contents(postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    assert measure_rows.main(["--database-url", postgres_url, "--rows", "4000", "--json", str(file)]) == 0
    tables = json.loads(file.read_text())["tables"]
    assert {name: table["rows"] for name, table in tables.items()} == {"images": 4000, "check_log": 1000}
    assert 300 < tables["images"]["table_bytes_per_row"] < 1000, (
        "a row has at least two digests of 64 characters"
    )
    assert 1000 < tables["check_log"]["table_bytes_per_row"] < 4000
    assert all(table["index_bytes_per_row"] > 8 for table in tables.values())


def test_without_a_server_the_message_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure_rows.main([]) == 2
    assert "name a server with --database-url" in capsys.readouterr().err
