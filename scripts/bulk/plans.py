"""Stored photos, plans that list them repeatedly, and the decisions about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from catloader.bulk.engines.sources import TABLE
from catloader.bulk.manifest import PlannedPhoto, write_manifest
from catloader.bulk.plan import Facts, Plan
from catloader.demo.photos import demo_photos
from catloader.intake.prepare import prepare
from catloader.intake.upload import limits
from catloader.settings import Settings
from catloader.wiring import build_object_store, load_model
from scripts.pipeline.sites import Stored, open_site, store

_STORED = 200

Decisions = dict[str, str]
"""Key of a photo -> its complete decision, as JSON."""


def stored_photos(settings: Settings, count: int) -> list[Stored]:
    """Put at most ``count`` photos into the store; a plan may list each photo several times."""
    folder = settings.data_dir / "demo"
    folder.mkdir()
    prepared = [prepare(photo.path.read_bytes(), limits=limits(settings)) for photo in demo_photos(folder)]
    return store(build_object_store(settings), prepared, min(count, _STORED))


def make_plan(folder: Path, stored: Sequence[Stored], photos: int, unit_rows: int) -> Plan:
    """Write a plan with the given number of photos."""
    planned = (
        PlannedPhoto(
            id,
            one.new.photo_key,
            one.new.thumbnail_key,
            one.new.sha256,
            one.new.thumbnail_sha256,
            one.new.size_bytes,
            "cat",
            0.5,
            None,
        )
        for id, one in enumerate(islice(cycle(stored), photos), 1)
    )
    rows, size_bytes = write_manifest(folder / "manifest", planned, unit_rows)
    return Plan.make(folder, Facts("efficientnet_lite0", unit_rows, rows, size_bytes, TABLE))


def decisions_of_check_run(settings: Settings, stored: Sequence[Stored]) -> Decisions:
    """Check the photos through the queue of a new site; return the decisions."""
    with open_site(settings, "live", partial(load_model, settings)) as site:
        site.add(stored)
        site.checker.drain()
        decided = {}
        for page in site.services.photos.decided():
            for photo in page:
                record = site.services.check_log.latest(photo.photo_id)
                assert record is not None
                values = (record.verdict, record.score, record.labels, record.subject_scores)
                decided[photo.photo_key] = _as_json(values)
        return decided


def differing(plan: Plan, expected: Decisions) -> int:
    """Return the number of results of a plan that differ in any bit from the decisions ``expected``."""
    return sum(
        expected.get(row["key"])
        != _as_json((row["verdict"], row["score"], log["labels"], log["subject_scores"]))
        for rows in plan.results()
        for row in rows
        for log in [json.loads(row["log"])]
    )


def _as_json(decision: tuple[Any, ...]) -> str:
    return json.dumps(decision, sort_keys=True)
