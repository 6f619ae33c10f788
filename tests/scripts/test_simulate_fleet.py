"""The simulation: results that can be computed by hand, and the published measurements of fleets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from checker.evaluation.provenance import ROOT
from scripts import simulate_fleet
from scripts.scale.service_times import photo_ms_beside, upload_ms_beside
from scripts.simulate_fleet import Fleet, compared, fleet_rate, simulate

_MEASURED = sorted((ROOT / "scripts/results").glob("scale-*.json"))
_FLEET = Fleet(
    photos_per_s=20.0, web=4, upload_s=0.05, database=1, batch_database_s=0.01, workers=2, batch_s=0.2
)


def test_workers_scale_until_their_shared_cores_are_busy() -> None:
    assert fleet_rate(1, 0.3, 0.1, cores=1) == pytest.approx(10)
    assert fleet_rate(2, 0.3, 0.1, cores=1) == pytest.approx(20, rel=0.02)
    assert fleet_rate(8, 0.3, 0.1, cores=1) == pytest.approx(40, rel=0.02)
    assert fleet_rate(8, 0.3, 0.1, cores=2) == pytest.approx(80, rel=0.02)


def test_parts_are_busy_for_the_time_of_their_work() -> None:
    result = simulate(_FLEET, 2000)
    assert result.busy["web"] == pytest.approx(20 * 0.05 / 4, rel=0.05)
    assert result.checked == pytest.approx(40_000, rel=0.05)
    assert result.waited_s[0] == pytest.approx(0.05 + 0.01 + 0.05)


@pytest.mark.parametrize(
    ("part", "change"),
    [("workers", {"batch_s": 0.5}), ("database", {"batch_database_s": 0.2}), ("web", {"web": 1})],
)
def test_the_part_without_reserve_breaks_first(part: str, change: dict[str, float]) -> None:
    result = simulate(replace(_FLEET, **change), 300)  # type: ignore[arg-type]
    assert result.first_to_break == part
    assert result.busy[part] > 0.9


@pytest.mark.parametrize("path", _MEASURED, ids=lambda path: path.stem)
def test_published_fleets_are_reproduced_within_15_per_cent(path: Path) -> None:
    rows = compared(json.loads(path.read_text("utf-8")))
    assert [row["workers"] for row in rows] == [2, 4, 8]
    assert max(abs(row["off"]) for row in rows) <= simulate_fleet.NEAR


def test_times_of_uploads_and_checks_are_the_measured_ones(tmp_path: Path) -> None:
    upload = {"photos": {"rocket.jpg (640 x 427)": {"fired": {"median_ms": 26.5}}}}
    rate = {"photos_per_s": {"median": 125.0}}
    pipeline = {"workers": 2, "photos": {"generated, 500x375": {"pipeline": rate}}}
    (tmp_path / "upload-kind.json").write_text(json.dumps(upload))
    (tmp_path / "pipeline-lite0-kind.json").write_text(json.dumps(pipeline))
    assert upload_ms_beside(tmp_path / "scale-kind.json") == 26.5
    assert photo_ms_beside(tmp_path / "scale-kind.json") == 16.0


@pytest.mark.parametrize("path", _MEASURED, ids=lambda path: path.stem)
def test_published_results_have_the_times_of_uploads_and_checks(path: Path) -> None:
    assert upload_ms_beside(path) > 0
    assert photo_ms_beside(path) > 0


def test_the_refusal_names_the_missing_measurements_and_their_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "scale-other.json"
    alone.write_bytes(_MEASURED[0].read_bytes())
    assert simulate_fleet.main([str(alone)]) == 2
    assert "upload-other.json is not a result of benchmark_upload.py; give" in capsys.readouterr().err
    assert simulate_fleet.main([str(alone), "--upload-ms", "25"]) == 2
    assert "pipeline-lite0-other.json is not a result of benchmark_pipeline.py" in capsys.readouterr().err
    times = ("--upload-ms", "25", "--photo-ms", "16", "--seconds", "30")
    assert simulate_fleet.main([str(alone), *times]) == 0


def test_another_kind_of_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    assert simulate_fleet.main([str(path)]) == 2
    assert "other.json is not a result of benchmark_scale.py" in capsys.readouterr().err
