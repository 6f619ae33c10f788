"""The flips of a plan: verdicts that would change, counted before any verdict is written."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catloader.bulk.plan import Plan
from catloader.store.db.checks.bulk import BulkTable
from catloader.texts import as_cell

_ROWS_PER_TRANSACTION = 200
"""Transactions are short, so that uploads and checks can write between them."""


@dataclass(slots=True)
class Flips:
    """The results of a plan in numbers."""

    photos: int = 0
    without_verdict: int = 0
    """Photos with missing objects, for example: they keep their verdict."""
    compared: int = 0
    """Photos with a verdict both now and before."""
    verdicts: Counter[str] = field(default_factory=Counter)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verdict before, verdict now) -> photos."""

    def add(self, row: dict[str, Any]) -> bool:
        """Count a result; return True if its verdict changes."""
        self.photos += 1
        if row["verdict"] is None:
            self.without_verdict += 1
            return False
        self.verdicts[row["verdict"]] += 1
        if row["old_status"] is None:
            return False
        self.compared += 1
        if row["old_status"] == row["verdict"]:
            return False
        self.changes[row["old_status"], row["verdict"]] += 1
        return True


def changed(plan: Plan, flips: Flips) -> Iterator[dict[str, Any]]:
    """Yield the results whose verdict changes, counting all of them into ``flips``."""
    for rows in plan.results():
        yield from (row for row in rows if flips.add(row))


def write_csv(plan: Plan, path: Path) -> int:
    """Write a row for each result; return the number of rows.

    Object keys that a spreadsheet would interpret as a formula are prefixed with an apostrophe.
    """
    lines = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("photo_id", "key", "old_verdict", "old_score", "verdict", "score", "error"))
        for rows in plan.results():
            for row in rows:
                names = ("photo_id", "key", "old_status", "old_score", "verdict", "score", "error")
                table.writerow([as_cell(row[name]) for name in names])
            lines += len(rows)
    return lines


def apply(plan: Plan, table: BulkTable) -> Iterator[tuple[int, int]]:
    """Write the verdicts of all results into the table of photos.

    Applying a plan twice has the same result as once: a photo that has changed since the plan was made keeps
    its state, even if the change came from this plan.

    Yields:
        (results, photos written) after each transaction.
    """
    for rows in plan.results():
        decided = [{**row, "log": json.loads(row["log"])} for row in rows if row["verdict"] is not None]
        for first in range(0, len(decided), _ROWS_PER_TRANSACTION):
            batch = decided[first : first + _ROWS_PER_TRANSACTION]
            yield len(batch), table.write(batch)
