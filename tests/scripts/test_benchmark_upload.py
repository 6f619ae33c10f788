"""The upload benchmark: three real sites, one round and a short backlog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import benchmark_upload
from scripts.upload import run
from scripts.upload.sites import VARIANTS


def test_each_site_is_measured_and_the_exit_code_says_whether_the_promise_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "BACKLOG", 15)
    monkeypatch.setattr(run, "_WARM_UP", 0)
    monkeypatch.setenv("CATCHECK_FETCH", "off")
    status = benchmark_upload.main(["--rounds", "1", "--json", str(tmp_path / "upload.json")])
    results = json.loads((tmp_path / "upload.json").read_text())
    assert len(results["photos"]) == 2
    for figures in results["photos"].values():
        assert {name: figures[name]["n"] for name in (*VARIANTS, run.UNTIL_VERDICT)} == dict.fromkeys(
            (*VARIANTS, run.UNTIL_VERDICT), 1
        )
        fired, not_fired = (figures[name]["median_ms"] for name in VARIANTS[:2])
        assert figures["fired / not fired"] == pytest.approx(fired / not_fired, rel=0.01)
        assert figures[run.UNTIL_VERDICT]["median_ms"] > fired
    assert results["backlog"]["waiting_at_start"] == 15
    worst = max(figures["fired / not fired"] for figures in results["photos"].values())
    assert results["holds"] == (worst <= run.LIMIT) == (status == 0)
    assert f"fired / not fired: {worst:.3f}" in capsys.readouterr().out
