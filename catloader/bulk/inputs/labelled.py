"""Plans of labelled photos: files, or the photos that people reviewed on the site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from catloader.bulk.inputs.objects import size_of
from catloader.bulk.kept.keep import Keep, write_keep
from catloader.bulk.manifest import Label, PlannedPhoto
from catloader.bulk.plan import BulkError, Plan
from catloader.bulk.planning import planning, write_photos
from catloader.checks.reviewed_photos import photo_name
from catloader.store.db.checks.bulk import BulkTable
from checker.decision.subject import Subject
from checker.evaluation.augment import background_rows
from checker.evaluation.photos import (
    FEWEST,
    Copies,
    LabelledPhoto,
    enough_of_both,
    in_utf8,
    kind_of,
)
from checker.ports import Classifier
from checker.values import INPUTS_PER_PHOTO


def reviewed(table: BulkTable) -> Iterator[PlannedPhoto]:
    """Yield the photos that people reviewed, as ``reviewed_photos`` labels them, page by page.

    Raises:
        UnusablePhotos: copies of a photo have different verdicts.
    """
    row, copies = 0, Copies()
    for columns, verdict in table.reviewed():
        photo = PlannedPhoto(*columns)
        label = Label(row, photo_name(photo.photo_id), verdict, kind_of(None, verdict))
        if not copies.is_copy(label, photo.photo_sha256 or label.name):
            yield photo._replace(labelled=label)
            row += 1


def files(photos: Iterable[LabelledPhoto]) -> Iterator[PlannedPhoto]:
    """Yield the photos of labelled files, with their absolute paths as keys.

    Raises:
        BulkError: a path can't be written into a plan.
    """
    for row, photo in enumerate(photos):
        path = str(Path(photo.path or "").absolute())
        if path != in_utf8(path):
            raise BulkError(f"{in_utf8(path)}: a plan can't hold a name that is not UTF-8.")
        label = Label(row, photo.name, photo.label, photo.kind_or_label)
        yield PlannedPhoto(row + 1, path, "", None, None, size_of(path), None, None, None, label)


def plan_labelled(
    folder: Path,
    photos: Iterable[PlannedPhoto],
    source: str,
    classifier: Classifier,
    subject: Subject,
    *,
    unit_rows: int,
    augmentations: bool = True,
    fewest: int = FEWEST,
) -> Plan:
    """Make a plan whose run keeps the data that calibration and the accuracy benchmark read.

    Memory: a label for each photo.

    Args:
        photos: from ``reviewed`` or ``files``.
        source: as in ``plan.Facts``.
        classifier: of the model that will run.
        augmentations: also measure three augmentations of each photo, which calibration needs.
        fewest: minimum number of photos with each label, in a plan with augmentations.

    Raises:
        BulkError: a path can't be written into a plan; or as ``planning``.
        UnusablePhotos: there are too few photos with one of the labels.
    """
    labels: list[Label] = []

    def noted() -> Iterator[PlannedPhoto]:
        for photo in photos:
            assert photo.labelled is not None, "reviewed() and files() label each photo"
            labels.append(photo.labelled)
            yield photo

    with planning(folder):
        facts = write_photos(folder, noted(), classifier.model_info.model, unit_rows, source)
        enough_of_both(labels, fewest if augmentations else 1)
        side = classifier.preprocessing.input_px
        blank = np.zeros((INPUTS_PER_PHOTO, side, side, 3), np.uint8)
        _, windows, features = classifier.run(blank).features.shape
        rows = background_rows([label.label for label in labels]) if augmentations else ()
        write_keep(folder, Keep(subject, tuple(rows), windows, features))
        return Plan.make(folder, facts)
