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
