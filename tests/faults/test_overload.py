"""Uploads beyond the site's capacity are refused immediately; pages and accepted photos are not affected."""

from __future__ import annotations

from pathlib import Path

from tests.faults.overload import measure
from tests.support.machine import busy_factor
from tests.support.serving import serving


def test_overload_is_refused_and_leaves_pages_alone(tmp_path: Path) -> None:
    busy = busy_factor()
    with serving(tmp_path, CATLOADER_UPLOADS_AT_ONCE=2) as site:
        figures = measure(site, uploaders=16, seconds=4, unloaded=1, megapixels=6)
        assert site.stop() == 0
        assert "Traceback" not in site.log
    assert figures.accepted > 0
    assert figures.refused > 0
    assert figures.other == {}, "an error, or a 503 without Retry-After"
    assert figures.lost == 0
    assert figures.pages_failed == 0
    assert figures.page_p95_s < max(busy, busy_factor())
