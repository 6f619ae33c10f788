"""The lines on the terminal: stores, model, where photos are checked, and the stop."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr

from catloader.checks.promotion import Promotion, keep
from catloader.server.announce import announcement, stopped
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


class _Checker:
    """A checker that has finished loading, with any state."""

    def __init__(self, **state: str) -> None:
        self.ready, self._state = Event(), state
        self.ready.set()

    def state(self) -> dict[str, str]:
        return self._state


def _printed(settings: Settings, output: pytest.CaptureFixture[str], **state: str) -> list[str]:
    services = cast("Services", SimpleNamespace(checker=_Checker(**state)))
    announcement(settings, "Ready at {url}", checks_here=bool(state))("http://cats", services)
    return output.readouterr().out.splitlines()


def test_lines_name_the_model_the_subject_and_a_promoted_model_that_does_not_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=tmp_path, model="efficientnet_lite0", subject="dog")
    keep(settings, Promotion("efficientnet_lite2", None))
    model = {"model": "lite0", "runtime": "torch", "precision": "fp32", "device": "cpu"}
    first, *lines = _printed(settings, capsys, state="ready", why_not_faster="int8 is missing.", **model)
    assert first.endswith("; loading the model efficientnet_lite0 ...")
    assert lines == [
        "Checking with lite0 (torch fp32, cpu), looking for dog; "
        "CATCHECK_MODEL=efficientnet_lite0 wins over the promoted model efficientnet_lite2",
        "int8 is missing.",
    ]
    assert len(_printed(settings, capsys, state="closed")) == 1, "stopped while the model was loading"


@pytest.mark.parametrize(
    ("dispatch", "checks"),
    [
        ("external", "by the Cat Checker at http://checker"),
        ("celery", "none here; run `catloader worker`, which the broker wakes"),
        ("off", "none here; run `catloader worker`"),
    ],
)
def test_ready_line_tells_where_photos_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dispatch: str, checks: str
) -> None:
    settings = Settings(data_dir=tmp_path).with_changes(
        dispatch=dispatch, checker_url="http://checker", broker_url="redis://127.0.0.1"
    )
    (line,) = _printed(settings, capsys)
    assert line.endswith(f"; checks: {checks}")


def test_stopped_is_printed_only_after_a_stop_without_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert (stopped(1), capsys.readouterr().out) == (1, "")
    assert (stopped(0), capsys.readouterr().out) == (0, "Stopped.\n")
