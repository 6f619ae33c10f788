"""Bulk plans of labelled photos, for `bulk plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catloader.bulk.manifest import PlannedPhoto
    from catloader.bulk.plan import Plan
    from catloader.wiring import Services

UNIT_ROWS = 32
"""Photos in a unit: fewer than in other plans, because the results of a photo are far larger."""


def plan_of_labelled(
    services: Services, folder: Path, model: str, data: str, *, unit_rows: int, augmentations: bool
) -> Plan:
    """Load the model, and plan the photos of ``data``, the value of `bulk plan --labelled`."""
    from catloader.bulk.engines.sources import FILES, TABLE
    from catloader.bulk.inputs.labelled import files, plan_labelled, reviewed
    from catloader.bulk.inputs.labelled_objects import labelled_objects
    from catloader.checks.reviewed_photos import DATABASE
    from catloader.store.db.checks.bulk import BulkTable
    from catloader.wiring import load_model
    from checker.decision.subject import load_subject
    from checker.evaluation.data_sets.read import labelled_photos
    from checker.evaluation.photos import distinct_photos

    photos: Iterable[PlannedPhoto]
    if data == DATABASE:
        source, photos = TABLE, reviewed(BulkTable(services.engine))
    elif data.startswith("s3://"):
        source, photos = labelled_objects(services.settings, data)
    else:
        source, photos = FILES, files(distinct_photos(labelled_photos(Path(data))))
    classifier = load_model(services.settings.with_changes(model=model)).classifier
    try:
        return plan_labelled(
            folder,
            photos,
            source,
            classifier,
            load_subject(services.settings.subject),
            unit_rows=unit_rows,
            augmentations=augmentations,
        )
    finally:
        classifier.close()


def size_of_results(plan: Plan) -> str:
    """Return a sentence with the disk space that the results of a plan of labelled photos take."""
    from catloader.bulk.kept.columns import required_keep
    from catloader.cli.bulk.run import size

    photo_bytes = required_keep(plan).photo_bytes
    return (
        f"The run keeps at most {photo_bytes / 1e3:.0f} kB a photo for calibration, "
        f"{size(photo_bytes * plan.facts.photos)} in all."
    )


def examples(plan: Plan) -> int:
    """Return the number of examples that a run of the plan measures: the photos and their augmentations."""
    from catloader.bulk.kept.keep import keep_of

    keep = keep_of(plan)
    return plan.facts.photos * (keep.examples if keep else 1)
