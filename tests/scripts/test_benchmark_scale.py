"""The benchmark of the queue, in miniature: its figures are of real work, and its targets can be missed."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from catloader.store.db.dead_rows import leave_dead_rows
from catloader.store.db.testing import temporary_database
from scripts import benchmark_scale
from scripts.scale.claims import Table
from scripts.scale.fleet import BATCH_PHOTOS, engine_of, new_table, rate

_MADE_UP: dict[str, Any] = {
    "fleets": [{"workers": workers, "times": times} for workers, times in ((1, 1), (2, 1.95), (8, 7.5))],
    "tables": [
        {"rows": rows, "dead_rows": dead, "claim_ms": ms, "note": note}
        for rows, dead, ms, note in ((1000, 0, 2.0, ""), (10**6, 10**5, 2.4, ""), (10**6, 10**5, 9.0, "kept"))
    ],
}


@pytest.fixture
def database(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    with temporary_database(postgres_url, tmp_path, "scale") as url:
        yield url


def test_two_workers_check_every_photo_once(database: str) -> None:
    new_table(database, 60, 48)
    done = rate(database, workers=2, photos=48, batch_s=0.05)
    assert done.batch_ms > 50
    assert 0 < done.photos_per_s < 2 * BATCH_PHOTOS / 0.05
    with pytest.raises(RuntimeError, match="0 of 48 photos"):
        rate(database, workers=1, photos=48, batch_s=0.0)


def test_claims_are_timed_while_photos_wait(database: str) -> None:
    new_table(database, 400, 380)
    with engine_of(database) as engine:
        assert leave_dead_rows(engine, 500) == 760
        table = Table(engine, rows=20)
        table.measure()
        table.measure()
        costs = table.costs()
        assert 0 < costs["claim_ms"] <= costs["claim_p95_ms"]
        with pytest.raises(RuntimeError, match="too few photos wait"):
            table.measure()


def test_missed_targets_are_reported() -> None:
    assert benchmark_scale.missed(_MADE_UP) == []
    slower = deepcopy(_MADE_UP)
    slower["fleets"][2]["times"] = 6.9
    slower["tables"][1]["claim_ms"] = 2.7
    assert benchmark_scale.missed(slower) == [
        "8 workers reach 6.90 times the rate of one, not 7.0",
        "a claim takes 2.7 ms with 1000000 rows done and 100000 dead, 2.0 ms with 1000",
    ]


def test_without_a_server_the_message_names_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark_scale.main([]) == 2
    assert "name a PostgreSQL server with --database-url" in capsys.readouterr().err
