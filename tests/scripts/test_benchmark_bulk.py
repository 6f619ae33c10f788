"""The benchmark of bulk work, in miniature: a real run with a kill, and targets that can be missed."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from scripts import benchmark_bulk

_FIGURES: dict[str, Any] = {
    "photos_per_s": 100.0,
    "large": {"first_unit_s": 9.0, "driver_mb": 400.0},
    "kills": {"photos": 40, "verdicts": 40, "doubles": 0},
}


@pytest.mark.timeout(600)
def test_a_small_run_kills_a_driver_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "bulk.json"
    small = ["--photos", "160", "--plan", "600", "--kills", "1", "--watch", "1"]
    code = benchmark_bulk.main([*small, "--engines", "local", "--json", str(file)])
    assert code in (0, 1), "a busy machine may miss the first unit"
    figures = json.loads(file.read_text())["engines"]["local"]
    assert figures["photos_per_s"] > 0
    assert figures["large"]["driver_mb"] > 50
    assert figures["kills"] == {"drivers": 1, "workers": 0, "photos": 160, "verdicts": 160, "doubles": 0}


def test_missed_targets_are_told() -> None:
    engines = {"local": _FIGURES, "ray": deepcopy(_FIGURES)}
    assert benchmark_bulk.missed(engines) == []
    engines["ray"]["photos_per_s"] = 80.0
    engines["ray"]["large"] = {"first_unit_s": 11.0, "driver_mb": 600.0}
    engines["ray"]["kills"]["doubles"] = 1
    assert benchmark_bulk.missed(engines) == [
        "ray: the first unit took 11.0 s, not 10",
        "ray: the driver took 600.0 MB, not 500",
        "ray: 40 verdicts of 40 photos after the kills",
        "ray reaches 0.80 of local's rate, not 0.9",
    ]
