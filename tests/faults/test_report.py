"""The scenarios that ``python -m tests.faults --missing`` runs, and the table's column "full counts"."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.faults.harness.audit import Figures
from tests.faults.report import is_missing, table
from tests.faults.scenarios.table import SCENARIOS

_SCENARIO = next(one for one in SCENARIOS if one.full)


@pytest.mark.parametrize(
    ("changed", "missing", "full"),
    [
        ({}, False, "yes"),
        ({"asked": _SCENARIO.scaled(0.1)}, True, "no"),
        ({"lost": 1}, True, "yes"),
        ({"broken": ["pages took 2 s"]}, True, "yes"),
    ],
)
def test_a_scenario_is_missing_until_it_has_kept_its_promises_with_full_counts(
    changed: dict[str, Any], missing: bool, full: str
) -> None:
    results = {_SCENARIO.name: {"asked": _SCENARIO.full, **asdict(Figures()), **changed}}
    assert is_missing(_SCENARIO, results) is missing
    assert f"| {full} | 0 |" in table(results)
    assert is_missing(_SCENARIO, {})
