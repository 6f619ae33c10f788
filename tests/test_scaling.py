"""The figures of docs/scaling.md are those of the files in scripts/results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.simulate_fleet import compared

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = (_ROOT / "docs/scaling.md").read_text("utf-8")


def _result(name: str) -> dict[str, Any]:
    return dict(json.loads((_ROOT / "scripts/results" / name).read_text("utf-8")))


_SCALE = _result("scale-avx512-vnni.json")


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _spaced(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`(scripts/results/[^`]+)`", _PAGE)
    assert len(set(named)) >= 4
    assert [name for name in named if not (_ROOT / name).is_file()] == []


def test_the_cost_of_a_photo() -> None:
    upload = _result("upload-avx512-vnni.json")["photos"]["rocket.jpg (640 x 427)"]["fired"]
    assert f"| {upload['median_ms']:.0f} ms, mostly processor time |" in _PAGE
    pipeline = _result("pipeline.json")["photos"]["made, 500x375"]["pipeline"]
    core_ms = pipeline["process_core_ms"] + pipeline["store_core_ms"]
    rate = pipeline["photos_per_s"]["median"]
    assert f"| {core_ms:.0f} ms of a core ({rate:.0f} photos/s on two) |" in _PAGE
    first = _SCALE["tables"][0]
    assert f"| {first['claim_ms']:.1f} + {first['finish_ms']:.1f} ms on PostgreSQL |" in _PAGE
    checks, uploads = (_spaced(round(1e9 * ms / 3.6e6, -2)) for ms in (round(core_ms), upload["median_ms"]))
    assert f"about {checks} core-hours of checks, {uploads} of uploads" in _PAGE


@pytest.mark.parametrize("fleet", _SCALE["fleets"][1:], ids=lambda fleet: str(fleet["workers"]))
def test_the_rates_of_fleets(fleet: dict[str, Any]) -> None:
    off = next(row["off"] for row in compared(_SCALE) if row["workers"] == fleet["workers"])
    simulated = f"{'+' if off >= 0 else '-'} {100 * abs(off):.2g} %"
    assert (
        _row(fleet["workers"], fleet["photos_per_s"], f"{fleet['times']:.2f}", simulated)
        in _PAGE.splitlines()
    )


@pytest.mark.parametrize("table", _SCALE["tables"], ids=lambda table: f"{table['rows']}{table['note']}")
def test_the_cost_of_claims(table: dict[str, Any]) -> None:
    rows, dead = (_spaced(table[name]) for name in ("rows", "dead_rows"))
    note = ", which an open transaction keeps" if table["note"] else ""
    expected = _row(rows, dead + note, f"{table['claim_ms']:.2f} ms", f"{table['finish_ms']:.2f} ms")
    assert expected in _PAGE.splitlines()
