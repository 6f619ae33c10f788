"""Shadow of very many photos: a plan for each of two models, of the same photos, and their differences."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from catloader.bulk.engines.sources import TABLE
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import OF_SHADOW, BulkError, Plan
from catloader.bulk.planning import make_plan, planning
from catloader.checks.shadow import Compared
from catloader.store.db.checks.bulk import BulkTable
from checker.values import Verdict

_VERDICTS = {str(verdict): verdict for verdict in (Verdict.CAT, Verdict.UNSURE, Verdict.NOT_CAT)}


def shadow_plans(
    table: BulkTable, folder: Path, models: tuple[str, str], unit_rows: int, sample: int | None = None
) -> tuple[Plan, Plan]:
    """Make the plans of the current model and of the candidate in a folder, or return existing ones.

    Raises:
        BulkError: existing plans are for other models; or as ``planning``.
    """
    first, second = (folder / name for name in OF_SHADOW)
    if not _is_plan(second):
        photos = (PlannedPhoto(*row) for row in table.decided(sample))
        plan = Plan(first) if _is_plan(first) else make_plan(first, photos, models[0], unit_rows, TABLE)
        with planning(second):
            shutil.copytree(first / "manifest", second / "manifest")
            Plan.make(second, replace(plan.facts, model=models[1]))
    pair = Plan(first), Plan(second)
    planned = tuple(plan.facts.model for plan in pair)
    if planned != models:
        raise BulkError(f"{folder} compares {planned[0]} with {planned[1]}; give the plan another name.")
    return pair


def _is_plan(folder: Path) -> bool:
    return (folder / "plan.json").exists()


def compared(pair: tuple[Plan, Plan], table: BulkTable) -> Iterator[Compared | None]:
    """Yield both decisions on each photo of two finished plans, or None for a photo without two decisions.

    A photo may have been unreadable, or deleted meanwhile.
    """
    for current, candidate in zip(*(plan.results() for plan in pair), strict=True):
        photos = table.by_id([row["photo_id"] for row in current])
        for rows in zip(current, candidate, strict=True):
            photo = photos.get(rows[0]["photo_id"])
            first, second = map(_judged, rows)
            if photo is None or first is None or second is None:
                yield None
            else:
                yield Compared(photo, first, second)


class _Judged(NamedTuple):
    verdict: Verdict
    score: float


def _judged(row: dict[str, Any]) -> _Judged | None:
    verdict = _VERDICTS.get(row["verdict"])
    return None if verdict is None else _Judged(verdict, row["score"])
