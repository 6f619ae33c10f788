"""A sample of the hostile uploads; ``python -m tests.faults.hostile_uploads`` sends all."""

from __future__ import annotations

from pathlib import Path

from tests.faults.hostile_uploads import measure
from tests.faults.mutations import mutants
from tests.support.machine import busy_factor
from tests.support.serving import serving


def test_hostile_uploads_get_plain_responses_and_leave_nothing(tmp_path: Path) -> None:
    busy = busy_factor()
    with serving(tmp_path) as site:
        figures = measure(site, mutants(100, seed=2), attackers=2, warm_up=20, settle_s=0)
        assert site.stop() == 0
        assert "Traceback" not in site.log
    assert figures.uploads == 100
    assert figures.stored > 0
    assert figures.refused > 0
    assert figures.other == {}, "an error, or a broken connection"
    assert figures.web_deaths == 0
    assert figures.others_failed == 0
    assert figures.left_objects == figures.left_rows == 0
    assert figures.page_p95_s < max(busy, busy_factor())
