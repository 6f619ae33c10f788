"""Choose the labelled photos that the accuracy tests run on."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto

_ROOT = Path(__file__).resolve().parents[2]
BESIDE = _ROOT.parent / "shared"
"""A folder next to the checkout with more data. It is optional."""
VARIABLE = "CATCHECK_TEST_PHOTOS"
_ENOUGH = 200
"""Number of photos of one label that can show a rate of 1 in 100. Fewer can't distinguish it from 0."""


@dataclass(frozen=True)
class PhotoSet:
    folder: Path
    chosen_by: str
    table: str = ""
    """The table to read; if empty, all tables of the folder are read."""

    @functools.cached_property
    def photos(self) -> list[LabelledPhoto]:
        """The photos, sorted by name; the name is the path relative to the folder."""
        return labelled_photos(self.folder / self.table)

    @functools.cached_property
    def counts(self) -> Counter[str]:
        return Counter(photo.label for photo in self.photos)

    @property
    def is_large(self) -> bool:
        """Return whether the set is large enough to measure rates."""
        return min(self.counts[CAT], self.counts[NOT_CAT]) >= _ENOUGH

    def enough(self) -> list[LabelledPhoto]:
        """Return evenly spread photos: of each label as many as a large set needs."""
        of_label = [[photo for photo in self.photos if photo.label == label] for label in self.counts]
        return [photo for all_ in of_label for photo in all_[:: max(1, len(all_) // _ENOUGH)][:_ENOUGH]]

    def files(self, label: str) -> list[Path]:
        return [self.folder / photo.name for photo in self.photos if photo.label == label]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {label}" for label, count in sorted(self.counts.items()))
        return f"{self.folder} ({counts}; {self.chosen_by})"


OWN_PHOTOS = PhotoSet(_ROOT / "tests" / "data" / "photos", "the repository's own")


def chosen_photos(environment: Mapping[str, str]) -> PhotoSet:
    """Return the photos of ``CATCHECK_TEST_PHOTOS``, of the folder next to the checkout, or of tests/data.

    Raises:
        UnusablePhotos: the variable names a folder that is missing or not labelled.
    """
    if folder := environment.get(VARIABLE):
        photo_set = PhotoSet(Path(folder).resolve(), VARIABLE)
    elif (BESIDE / "photos" / "labels.csv").is_file():
        photo_set = PhotoSet(BESIDE / "photos", "found next to the checkout", "labels.csv")
    else:
        photo_set = OWN_PHOTOS
    _ = photo_set.photos
    return photo_set
