"""The figures of docs/scaling.md equal those of the files in scripts/results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts import simulate_fleet
from scripts.benchmark_bulk import FIRST_UNIT_S
from scripts.simulate_fleet import compared

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = (_ROOT / "docs/scaling.md").read_text("utf-8")


def _result(name: str) -> dict[str, Any]:
    return dict(json.loads((_ROOT / "scripts/results" / name).read_text("utf-8")))


_SCALE = _result("scale-avx512-vnni.json")
_BULK = _result("bulk-avx512-vnni.json")


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _spaced(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def test_every_named_file_exists() -> None:
    paths = re.findall(r"`(scripts/results/[^`]+)`", _PAGE)
    assert len(set(paths)) >= 4
    assert [name for name in paths if not (_ROOT / name).is_file()] == []


def test_the_cost_of_a_photo_equals_the_measured_one() -> None:
    upload = _result("upload-avx512-vnni.json")["photos"]["rocket.jpg (640 x 427)"]["fired"]
    assert f"| {upload['median_ms']:.0f} ms, mostly processor time |" in _PAGE
    pipeline = _result("pipeline-lite0-avx512-vnni.json")["photos"]["generated, 500x375"]["pipeline"]
    core_ms = pipeline["process_core_ms"] + pipeline["store_core_ms"]
    rate = pipeline["photos_per_s"]["median"]
    assert f"| {core_ms:.0f} ms of a core ({rate:.0f} photos/s on two) |" in _PAGE
    first = _SCALE["tables"][0]
    assert f"| {first['claim_ms']:.1f} + {first['finish_ms']:.1f} ms on PostgreSQL |" in _PAGE
    checks, uploads = (round(1e9 * ms / 3.6e6, -2) for ms in (round(core_ms), upload["median_ms"]))
    assert f"about {_spaced(checks)} core-hours of checks, {_spaced(uploads)} of uploads" in _PAGE
    together = 2000 / (core_ms + upload["median_ms"])
    assert f"Two cores receive and check about {together:.0f} photos/s" in _PAGE
    assert f"{together * 86_400 / 3 / 1e6:.1f} x 10^6 photos a day" in " ".join(_PAGE.split())
    in_all = checks + uploads
    assert (
        _row(
            "checks and uploads", f"{_spaced(in_all)} core-hours", "0.04 for a core-hour", round(in_all / 25)
        )
        in _PAGE
    )


def test_the_row_sizes_equal_the_measured_ones() -> None:
    tables = _result("rows-postgresql.json")["tables"].values()
    images, log = (
        [_spaced(table[f"{part}_bytes_per_row"]) for part in ("table", "index")] for table in tables
    )
    sizes = f"{images[0]} bytes and {images[1]} in indexes in `images`, {log[0]} and {log[1]} in `check_log`"
    assert f"| {sizes} |" in _PAGE
    each = sum(table[f"{part}_bytes_per_row"] for table in tables for part in ("table", "index"))
    assert f"{each / 1000:.1f} TB of database" in _PAGE


@pytest.mark.parametrize("fleet", _SCALE["fleets"][1:], ids=lambda fleet: str(fleet["workers"]))
def test_the_rates_of_fleets_equal_the_measured_ones(fleet: dict[str, Any]) -> None:
    off = next(row["off"] for row in compared(_SCALE) if row["workers"] == fleet["workers"])
    simulated = f"{'+' if off >= 0 else '-'} {100 * abs(off):.2g} %"
    assert (
        _row(fleet["workers"], fleet["photos_per_s"], f"{fleet['times']:.2f}", simulated)
        in _PAGE.splitlines()
    )


@pytest.mark.parametrize("table", _SCALE["tables"], ids=lambda table: f"{table['rows']}{table['note']}")
def test_the_cost_of_claims_equals_the_measured_one(table: dict[str, Any]) -> None:
    rows, dead = (_spaced(table[name]) for name in ("rows", "dead_rows"))
    expected = _row(rows, dead + table["note"], f"{table['claim_ms']:.2f} ms", f"{table['finish_ms']:.2f} ms")
    assert expected in _PAGE.splitlines()


_SMALL = "16 uploads at once, 4 database cores, 4 checking threads"
_LARGE = "160 uploads at once, 32 database cores, 240 checking threads"
_MANY = ("--uploads-at-once", "160", "--database-cores", "32", "--workers", "240", "--seconds", "60")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("power", "fleet", "options"),
    [
        (6, _SMALL, ()),
        (7, "the same, 16 checking threads", ("--workers", "16")),
        (8, _LARGE, _MANY),
    ],
)
def test_the_rows_of_simulated_fleets_equal_the_simulation(
    power: int, fleet: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    measured = _ROOT / "scripts/results/scale-avx512-vnni.json"
    assert simulate_fleet.main([str(measured), "--photos-per-day", f"1e{power}", *options]) == 0
    busy = re.findall(r"(?:web|database|workers) (\d+ %)", capsys.readouterr().out)
    assert _row(f"10^{power}", fleet, *busy) in _PAGE.splitlines()


@pytest.mark.parametrize("engine", _BULK["engines"])
def test_the_figures_of_bulk_work_equal_the_measured_ones(engine: str) -> None:
    figures = _BULK["engines"][engine]
    large, rate = figures["large"], figures["photos_per_s"]
    target = ", more than the 10 s wanted" if large["first_unit_s"] > FIRST_UNIT_S else ""
    expected = _row(f"`{engine}`", rate, f"{large['first_unit_s']} s{target}", f"{large['driver_mb']:.0f} MB")
    assert expected in _PAGE.splitlines()


def test_the_ratio_of_both_engines_equals_the_measured_one() -> None:
    share = _BULK["engines"]["ray"]["photos_per_s"] / _BULK["engines"]["local"]["photos_per_s"]
    assert f"`ray` has {share:.2f} times the rate of `local`" in " ".join(_PAGE.split())


def test_the_figures_of_kills_equal_the_measured_ones() -> None:
    assert f"in units of {_BULK['unit_rows']} photos" in _PAGE
    for engine, figures in _BULK["engines"].items():
        kills, listed = figures["kills"], figures["large"]["requests"].get("LIST", 0)
        verdicts = f"{_spaced(kills['verdicts'])} of {_spaced(kills['photos'])}"
        for victim, number in kills["kills"].items():
            extra = kills["extra_inferences"][victim]
            cells = (
                f"{victim}, {number} times",
                extra,
                verdicts,
                kills["doubles"],
                kills["differing"],
                listed,
            )
            assert _row(f"`{engine}`", *cells) in _PAGE.splitlines(), cells
