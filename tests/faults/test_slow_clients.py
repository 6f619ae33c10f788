"""Slow clients occupy connections, but never the threads that serve other clients."""

from __future__ import annotations

from pathlib import Path

from tests.faults.slow_clients import measure
from tests.support.machine import busy_factor
from tests.support.serving import serving


def test_slow_heads_and_bodies_do_not_slow_down_normal_users(tmp_path: Path) -> None:
    busy = busy_factor()
    with serving(tmp_path) as site:
        figures = measure(site, heads=50, bodies=50, users=20, seconds=6, pages=60)
        assert site.stop() == 0
    assert figures.pages > 50
    assert figures.failed == 0
    assert figures.p95_s < max(busy, busy_factor())
