"""Published figures: ``scripts/results/faults.json``, its table in promises.md, and other result files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.harness.audit import Figures, complaints
from tests.faults.scenarios.table import SCENARIOS, Scenario
from tests.support import processor

_ROOT = Path(__file__).parents[2]
RESULTS = _ROOT / "scripts" / "results" / "faults.json"
_COLUMNS = {
    "acknowledged": "acknowledged",
    "lost": "lost",
    "wrong_bytes": "wrong bytes",
    "unchecked": "unchecked",
    "orphans": "orphans",
    "doubles": "doubles",
    "extra_inferences": "extra inferences",
}

Results = Mapping[str, Mapping[str, Any]]
"""Scenario -> its figures, its counts, and commit, date and kind of processor of the run."""


def read() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def provenance() -> dict[str, str]:
    """Return commit, date and kind of processor of a run."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor.described(),
    }


def start_of_run() -> dict[str, Any]:
    """Return provenance and load; call it before a measurement that has a separate result file."""
    return {**provenance(), "load_before": round(os.getloadavg()[0], 1)}


def publish(run: Mapping[str, Any], file: Path | None) -> None:
    """Print the figures of a run; write them to ``file`` if it is given."""
    text = json.dumps(run, indent=1)
    sys.stdout.write(text + "\n")
    if file:
        file.write_text(text + "\n")


def add(name: str, counts: Mapping[str, float], figures: Figures) -> None:
    """Add the figures of a scenario to the file.

    Args:
        counts: the counts with which the scenario was run.
    """
    results = read() | {name: {**provenance(), "asked": dict(counts), **asdict(figures)}}
    ordered = {one.name: results[one.name] for one in SCENARIOS if one.name in results}
    RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")


def is_missing(scenario: Scenario, results: Results) -> bool:
    """Return whether the scenario has not been run with its full counts, or has broken a promise."""
    if scenario.full is None:
        return False
    figures = results.get(scenario.name)
    return figures is None or not _is_full(scenario, figures) or bool(complaints(figures))


def _is_full(scenario: Scenario, figures: Mapping[str, Any]) -> bool:
    return figures.get("asked") == scenario.full


def table(results: Results) -> str:
    """Return a Markdown table of the runs and their results."""
    scenarios = {one.name: one for one in SCENARIOS}
    lines = [
        f"| fault | full counts | {' | '.join(_COLUMNS.values())} | seconds |",
        f"| --- |{' --- |' * (len(_COLUMNS) + 2)}",
    ]
    for name, figures in results.items():
        counts = ", ".join(f"{count} {what}" for what, count in figures["counts"].items())
        full = "yes" if _is_full(scenarios[name], figures) else "no"
        values = " | ".join(str(figures[column]) for column in _COLUMNS)
        lines.append(f"| {name}: {counts} | {full} | {values} | {figures['seconds']:.0f} |")
    return "\n".join(lines) + "\n"
