"""The child process that fetches a model or makes a variant."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from checker.runtimes.selection.background import BackgroundTask


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
