"""``catloader doctor`` on a running site: the table, the exit code, the JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from catloader.demo.client import free_port
from tests.support.environ import environ_without_settings
from tests.support.serving import Serving, serving


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("doctor"), CATCHECK_DISPATCH="internal") as site:
        yield site


def _doctor(folder: Path, *options: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environ = environ_without_settings(
        CATLOADER_DATA_DIR=folder, CATLOADER_MIN_FREE_BYTES=0, CATCHECK_DISPATCH="internal", **settings
    )
    command = [sys.executable, "-m", "catloader", "doctor", *options]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_a_running_site_is_in_order(site: Serving) -> None:
    done = _doctor(site.folder, CATLOADER_PORT=site.port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Nothing failed.\n")
    assert f"A wake-up reached {site.url}" in done.stdout
    assert done.stderr == ""


def test_json_and_exit_code_of_a_failure(site: Serving) -> None:
    done = _doctor(
        site.folder,
        "--json",
        CATLOADER_PORT=site.port,
        CATCHECK_WEBHOOK_SECRET="whsec_YW5vdGhlciBzZWNyZXQgdGhhbiB0aGUgc2l0ZSdz",
    )
    rows = {row["part"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert [part for part, row in rows.items() if row["result"] == "failed"] == ["dispatch"]
    assert "HTTP 401" in rows["dispatch"]["sentence"]
    parts = {"data folder", "processor", "migrations", "S3 put", "mail server", "log-in provider", "variant"}
    assert parts < rows.keys()
    assert set(rows["Python"]) == {"part", "result", "sentence"}


def test_failed_rows_are_marked_and_counted(typed: Callable[..., Result]) -> None:
    away = {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    port = str(free_port())  # no site runs there
    done = typed("doctor", CATCHECK_MODEL="resnet18", CATLOADER_PORT=port, **away)
    *rows, last = done.output.splitlines()
    failed = [row[8:42].rstrip() for row in rows if row.startswith("FAILED  ")]
    assert (done.exit_code, failed, last) == (1, ["S3 address", "model"], "2 rows failed.")
    assert {row[:8] for row in rows} <= {"ok      ", "note    ", "FAILED  "}
