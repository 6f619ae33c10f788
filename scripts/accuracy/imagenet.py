"""Top-1 and top-5 of a model on photos of ImageNet's validation set, to compare with its published figure.

The models' authors measure in the same way: the centre crop of each file, one input for each photo, no head.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.errors import CheckerError
from checker.evaluation.data_sets.class_folders import files_below
from checker.evaluation.data_sets.kinds import imagenet_class
from checker.evaluation.intervals import recall
from checker.evaluation.photos import in_utf8
from checker.evaluation.progress import progress_bar
from checker.evaluation.variants import NamedVariant
from checker.folder.walk import DECODE_LIMITS, read
from checker.pixels.isolated import IsolatedDecoder, isolated_decoder
from checker.ports import Classifier
from models.catalogue import CLASSES
from scripts.command_line import CannotRun

BATCH_PHOTOS = 8
_TOP = 5
_SOLUTION = "LOC_val_solution.csv"
"""Kaggle's table of classes, whose rows are like ``ILSVRC2012_val_00048981,n03995372 85 1 499 272``."""
_ABOVE = 4
"""Number of folders above the photos in which the table may be: they are in ILSVRC/Data/CLS-LOC/val."""


@dataclass(frozen=True, slots=True)
class ValidationPhoto:
    path: str
    class_index: int


def validation_photos(folder: Path) -> list[ValidationPhoto]:
    """Return the photos of a folder in the order of their names; hidden files are ignored.

    A photo's class is the name of its folder, by WordNet ID (``n02123045``) or class name (``tabby``), or a
    WordNet ID in its own name (``n02328150_Angora.JPEG``), or that of Kaggle's table in or above the folder.

    Raises:
        CannotRun: the folder does not exist or has no photos, or the class of a photo is unknown.
    """
    if not folder.is_dir():
        raise CannotRun(f"{folder}: no such folder")
    kaggle, photos = _kaggle_classes(folder), []
    for file in files_below(folder):
        path = Path(file.path)
        if file.error:
            raise CannotRun(f"{in_utf8(file.path)}: {file.error}")
        names = [path.stem] if path.parent == folder else [path.parent.name, path.stem]
        names += kaggle.get(path.stem, [])
        index = next((number for number in map(imagenet_class, names) if number is not None), None)
        if index is None:
            raise CannotRun(
                f"{in_utf8(file.path)}: neither folder nor file is named after a class of ImageNet, "
                "such as n02123045 or tabby"
            )
        photos.append(ValidationPhoto(file.path, index))
    if not photos:
        raise CannotRun(f"{folder} has no photos")
    return sorted(photos, key=lambda photo: photo.path)


def _kaggle_classes(folder: Path) -> dict[str, list[str]]:
    """Return the class in each row of Kaggle's table, by the name of the photo; empty without the table.

    Raises:
        CannotRun: the table can't be read.
    """
    for place in (folder, *folder.resolve().parents[:_ABOVE]):
        if (table := place / _SOLUTION).is_file():
            try:
                with table.open(encoding="utf-8-sig", newline="") as file:
                    return {
                        row["ImageId"]: row["PredictionString"].split()[:1] for row in csv.DictReader(file)
                    }
            except (OSError, ValueError, LookupError, AttributeError, csv.Error) as error:
                raise CannotRun(f"{table} can't be read as Kaggle's table of classes") from error
    return {}


def accuracy(photos: Sequence[ValidationPhoto], variant: NamedVariant) -> dict[str, Any]:
    """Return one variant's accuracy with intervals, and the published top-1 accuracy of its model, if any.

    Raises:
        CannotRun: names a photo that can't be read.
    """
    entry, _ = variant.resolve()
    classifier = variant.load()
    info = classifier.model_info
    ranks: list[int] = []
    with (
        isolated_decoder(1, DECODE_LIMITS) as decoder,
        progress_bar(len(photos), f"{info.model}, {info.runtime} {info.precision}", "photos") as progress,
    ):
        for start in range(0, len(photos), BATCH_PHOTOS):
            batch = photos[start : start + BATCH_PHOTOS]
            logits = _logits(batch, decoder, classifier)
            truth = np.array([photo.class_index for photo in batch])
            of_truth = logits[np.arange(len(batch)), truth]
            ranks += (logits > of_truth[:, np.newaxis]).sum(axis=1).tolist()
            progress.update(len(batch))
    classifier.close()
    n = len(photos)
    top_1, top_5 = (recall(sum(rank >= best for rank in ranks), n) for best in (1, _TOP))
    published = None if entry.acc1 is None else entry.acc1 / 100
    return {
        "model_info": {**asdict(info), "versions": dict(info.versions)},
        "n": n,
        "classes": len({photo.class_index for photo in photos}),
        "top_1": asdict(top_1),
        "top_5": asdict(top_5),
        "published_top_1": published and round(published, 5),
        "published_is_in_the_interval": published and top_1.low <= published <= top_1.high,
    }


def _logits(
    batch: Sequence[ValidationPhoto], decoder: IsolatedDecoder, classifier: Classifier
) -> npt.NDArray[np.float32]:
    pixels = []
    for photo in batch:
        try:
            pixels.append(decoder.centre(read(photo.path), classifier.preprocessing))
        except CheckerError as error:
            raise CannotRun(f"{in_utf8(photo.path)}: {error}") from error
    # If a model classifies several windows of its input, the first one is the whole input.
    return classifier.run(np.stack(pixels)).logits.reshape(len(batch), -1, CLASSES)[:, 0]


def as_text(result: dict[str, Any]) -> str:
    """Return a table; it marks rows whose photos cover only some of the classes of the published figure."""
    lines = [f"{'model':32}{'photos':>8}{'top-1':>8}{'95 % interval':>18}{'top-5':>8}{'published top-1':>17}"]
    for name, row in result["models"].items():
        top_1 = row["top_1"]
        interval = f"{top_1['low']:.1%} - {top_1['high']:.1%}"
        published = row["published_top_1"]
        lines.append(
            f"{name:32}{row['n']:8d}{top_1['rate']:8.1%}{interval:>18}{row['top_5']['rate']:8.1%}"
            + ("" if published is None else f"{published:17.1%}{_comparison(row)}")
        )
    return "\n".join(lines)


def _comparison(row: dict[str, Any]) -> str:
    if row["classes"] < CLASSES:
        return f"  not comparable: {row['classes']} of {CLASSES} classes"
    return "  in the interval" if row["published_is_in_the_interval"] else "  OUTSIDE of the interval"
