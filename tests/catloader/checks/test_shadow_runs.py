from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path
from typing import IO

import pytest

from catloader.checks.shadow_runs import ShadowRun, ShadowRuns, reason_of_end
from catloader.demo.client import until
from catloader.settings import Settings
from catloader.store.db.engine import utcnow


class _EndsMeanwhile(ShadowRuns):
    """Another process's run fails just when this process reads the lock."""

    def _locked(self, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
        self._note.write_text(json.dumps({"candidate": "a", "started_at": "", "error": "It failed."}))
        return super()._locked(kind)


def test_the_reason_of_a_run_that_ends_meanwhile_is_read(tmp_path: Path) -> None:
    (tmp_path / "shadow-run.json").write_text('{"candidate": "a", "started_at": "", "error": ""}')
    run = _EndsMeanwhile(Settings(data_dir=tmp_path)).latest()
    assert run is not None
    assert (run.is_running, run.error) == (False, "It failed.")


def test_a_readers_lock_is_not_mistaken_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "shadow-run.json").write_text('{"candidate": "a", "started_at": "", "error": "It failed."}')
    with (tmp_path / "shadow-run.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        run = ShadowRuns(Settings(data_dir=tmp_path)).latest()
    assert run is not None
    assert not run.is_running


@pytest.mark.parametrize("note", [None, "{", "[]", '{"candidate": "a", "started_at": ""}'])
def test_without_a_note_that_can_be_read_there_was_no_run(tmp_path: Path, note: str | None) -> None:
    """Earlier versions may have written a note of another form."""
    if note is not None:
        (tmp_path / "shadow-run.json").write_text(note)
    assert ShadowRuns(Settings(data_dir=tmp_path)).latest() is None


@pytest.mark.parametrize(
    ("code", "stderr", "reason"),
    [
        (1, b"Loading the models ...\nError: No weights.\n", "No weights."),
        (-9, b"Loading the models ...\n", "It was ended."),  # the kernel kills processes when memory runs out
        (-9, b"", "It was ended."),
    ],
)
def test_the_reason_of_a_failed_run_is_its_error(code: int, stderr: bytes, reason: str) -> None:
    assert reason_of_end(code, stderr) == reason


def test_a_run_ends_with_its_site(tmp_path: Path) -> None:
    runs, now = ShadowRuns(Settings(data_dir=tmp_path, model="efficientnet_lite0")), utcnow()
    assert runs.start("efficientnet_lite2", 1, now)
    for _ in until(60, "The run did not end"):
        runs.close()  # repeated, because the child may not have started yet
        run = runs.latest()
        assert run
        if not run.is_running:
            break
    assert run == ShadowRun("efficientnet_lite2", now.isoformat(), "It was ended.")


def test_a_run_whose_process_can_not_be_started_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    runs, now = ShadowRuns(Settings(data_dir=tmp_path)), utcnow()
    assert runs.start("efficientnet_lite2", 1, now)
    for _ in until(60, "The run did not end"):
        run = runs.latest()
        assert run
        if not run.is_running:
            break
    reason = "The comparison can't start: No such file or directory."
    assert run == ShadowRun("efficientnet_lite2", now.isoformat(), reason)


def test_a_reader_of_the_latest_run_does_not_prevent_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is just being shown holds the lock for a moment."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # the run itself does not matter
    with (tmp_path / "shadow-run.lock").open("a") as reader:

        class _ReadMeanwhile(ShadowRuns):
            def _locked(self, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
                lock = super()._locked(kind)
                reader.close()
                return lock

        fcntl.flock(reader, fcntl.LOCK_SH)
        assert _ReadMeanwhile(Settings(data_dir=tmp_path)).start("efficientnet_lite2", 1, utcnow())


def test_a_run_of_another_process_prevents_another_one(tmp_path: Path) -> None:
    with (tmp_path / "shadow-run.lock").open("a") as run:
        fcntl.flock(run, fcntl.LOCK_EX)
        assert not ShadowRuns(Settings(data_dir=tmp_path)).start("efficientnet_lite2", 1, utcnow())
