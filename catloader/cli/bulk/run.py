"""Bulk plans on the terminal: folder, run, state, sizes and durations."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catloader.settings import Settings
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.bulk.plan import Plan
    from catloader.wiring import Services

UNIT_ROWS = 128
_PRINT_EVERY_S = 5.0


def folder_of(settings: Settings, name: str) -> Path:
    """Return the folder of a plan: its name below `bulk` in the data folder, or a path with a slash.

    Raises:
        BulkError: the name is empty, means the folder of all plans, or is not UTF-8, which Arrow can't open.
    """
    from catloader.bulk.plan import BulkError
    from catloader.bulk.planning import plans_folder

    if name in ("", ".", "..") or not name.isprintable():
        raise BulkError(f"{name!r} can't be the name of a plan.")
    return Path(name) if "/" in name else plans_folder(settings) / name


def plans_of(settings: Settings, name: str) -> list[Plan]:
    """Return the plan, or both plans of `models shadow --bulk`.

    Raises:
        BulkError: there is no plan.
    """
    from catloader.bulk.plan import OF_SHADOW, Plan

    folder = folder_of(settings, name)
    pair = [folder / part for part in OF_SHADOW]
    return [Plan(path) for path in (pair if all(map(Path.is_dir, pair)) else [folder])]


def run_and_tell(
    services: Services,
    plan: Plan,
    engine: str = "local",
    address: str = "",
    *,
    every_s: float = _PRINT_EVERY_S,
) -> None:
    """Run a plan and print its progress, at most every ``every_s`` seconds."""
    from catloader.bulk.run import run

    printed_s = time.monotonic()
    for progress in run(services, plan, engine, address):
        if progress.left and time.monotonic() - printed_s >= every_s:
            printed_s = time.monotonic()
            left = duration(progress.left / progress.photos_per_s)
            click.echo(f"{progress.left} left, {progress.photos_per_s:.1f} photos/s, {left} to go")


def state_of(plan: Plan) -> str:
    """Return one sentence with the progress and the state of a plan."""
    done = plan.done()
    if plan.is_running:
        state = "running"
    elif done == plan.units:
        state = "done"
    else:
        state = "cancelled" if plan.cancelled else "not running"
    units = counted(plan.units, "unit")
    return f"{done} of {units} done, {counted(plan.facts.photos, 'photo')}, {plan.facts.model}: {state}."


def size(size_bytes: int) -> str:
    """Return "18.2 MB", in the unit that fits."""
    for unit_bytes, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return counted(size_bytes, "byte")


def duration(seconds: float) -> str:
    """Return "less than a minute", "about 12 minutes" or "about 3.4 hours"."""
    if seconds < 60:
        return "less than a minute"
    if seconds < 90 * 60:
        return f"about {counted(round(seconds / 60), 'minute')}"
    return f"about {seconds / 3600:.1f} hours"
