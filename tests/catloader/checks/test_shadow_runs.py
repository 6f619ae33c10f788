from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import IO

from catloader.checks.shadow_runs import ShadowRuns
from catloader.settings import Settings


class _EndsMeanwhile(ShadowRuns):
    """A run of another process fails at the moment when this one looks at the lock."""

    def _held(self, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
        self._note.write_text(json.dumps({"candidate": "a", "started_at": "", "error": "It failed."}))
        return super()._held(kind)


def test_the_reason_of_a_run_that_ends_meanwhile_is_read(tmp_path: Path) -> None:
    (tmp_path / "shadow-run.json").write_text('{"candidate": "a", "started_at": "", "error": ""}')
    run = _EndsMeanwhile(Settings(data_dir=tmp_path)).latest()
    assert run is not None
    assert (run.is_running, run.error) == (False, "It failed.")


def test_two_readers_do_not_take_each_other_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "shadow-run.json").write_text('{"candidate": "a", "started_at": "", "error": "It failed."}')
    with (tmp_path / "shadow-run.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        run = ShadowRuns(Settings(data_dir=tmp_path)).latest()
    assert run is not None
    assert not run.is_running
