"""Labelled photos in a folder or a table, with the renditions that the site would store."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checker.errors import CheckerError
from checker.folder.walk import read, walk
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

CAT, NOT_CAT, WILD_FELINE = "cat", "not_cat", "wild_feline"
"""The labels. Wild felines are reported separately: they choose no threshold."""
LABELS = (CAT, NOT_CAT, WILD_FELINE)
FEWEST = 50
"""Photos of either label; from fewer, no rate worth the name can be measured."""


class UnusablePhotos(CheckerError):
    """The labelled photos are missing, unreadable, too few or not labelled."""


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo and its label; its files are read when they are needed."""

    name: str
    """Printable: bytes of a file name that are not UTF-8 are escaped."""
    label: str
    read: Callable[[], Mapping[Rendition, bytes]]
    """Return both renditions as the site stores them: JPEGs. Raises ``UnusablePhotos``."""


def labelled_photos(data: Path) -> list[LabelledPhoto]:
    """Return the labelled photos, sorted by name.

    Args:
        data: a folder with ``labels.csv`` (columns ``file`` and ``label``), such a file, or a folder with
            ``cat/``, ``not_cat/`` and perhaps ``wild_feline/``. Hidden files and folders are left out.
    Raises:
        UnusablePhotos: there is no such data, a label is unknown, or one of the labels has no photos.
    """
    table = data / "labels.csv" if data.is_dir() else data
    if table.is_file():
        photos = _from_table(table)
    elif data.is_dir():
        photos = list(_from_folders(data))
    else:
        raise UnusablePhotos(f"{data}: no such folder or labels.csv")
    return both_labels(photos, str(data))


def both_labels(photos: Iterable[LabelledPhoto], source: str) -> list[LabelledPhoto]:
    """Sort the photos by name.

    Raises:
        UnusablePhotos: there are none of one label.
    """
    by_name = sorted(photos, key=lambda photo: photo.name)
    counts = Counter(photo.label for photo in by_name)
    if not (counts[CAT] and counts[NOT_CAT]):
        counted = ", ".join(f"{counts[label]} {label}" for label in LABELS)
        raise UnusablePhotos(f"{source}: photos of both labels are needed, cat and not_cat; found {counted}")
    return by_name


def enough_of_both(photos: Sequence[LabelledPhoto], fewest: int = FEWEST) -> None:
    """Check the number of photos before the minutes that measuring them takes.

    Raises:
        UnusablePhotos: fewer than ``fewest`` of one label.
    """
    counts = Counter(photo.label for photo in photos)
    if min(counts[CAT], counts[NOT_CAT]) < fewest:
        raise UnusablePhotos(
            f"at least {fewest} photos of either label are needed; "
            f"there are {counts[CAT]} of {CAT} and {counts[NOT_CAT]} of {NOT_CAT}"
        )


def describe(photos: Sequence[LabelledPhoto], contents: Iterable[str]) -> dict[str, Any]:
    """Return counts, and a digest over names, labels and ``contents`` (a sha256 for each photo)."""
    lines = "".join(
        f"{photo.name}\t{photo.label}\t{sha256}\n" for photo, sha256 in zip(photos, contents, strict=True)
    )
    return {
        "counts": dict(sorted(Counter(photo.label for photo in photos).items())),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


@contextmanager
def naming(photo: str) -> Iterator[None]:
    """Name the photo in an error: every photo must be readable, or the figures would be of other photos.

    Raises:
        UnusablePhotos: in place of any ``CheckerError``.
    """
    try:
        yield
    except CheckerError as error:
        raise UnusablePhotos(f"{photo}: {error}") from error


def _from_table(table: Path) -> list[LabelledPhoto]:
    photos = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before UTF-8
            rows = csv.DictReader(file)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise UnusablePhotos(f"{table}: its first line must name the columns file and label")
            for row in rows:
                name, label = row["file"] or "", row["label"] or ""
                if label not in LABELS:
                    raise UnusablePhotos(f"{table}: {label!r} is no label; there are {', '.join(LABELS)}")
                if not (table.parent / name).is_file():
                    line = f"{table}, line {rows.line_num}"
                    raise UnusablePhotos(f"{line}: there is no file {name!r} in this folder")
                photos.append(_file(str(table.parent / name), name, label))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnusablePhotos(f"{table} cannot be read as a table: {error}") from error
    return photos


def _from_folders(folder: Path) -> Iterator[LabelledPhoto]:
    for label in LABELS:
        if not (folder / label).is_dir():
            continue
        for found in walk([str(folder / label)]):
            if found.error:
                raise UnusablePhotos(f"{_printable(found.path)}: {found.error}")
            yield _file(found.path, os.path.relpath(found.path, folder), label)


def _file(path: str, name: str, label: str) -> LabelledPhoto:
    def renditions() -> Mapping[Rendition, bytes]:
        with naming(_printable(path)):
            return site_renditions(read(path), fast=False)

    return LabelledPhoto(_printable(name), label, renditions)


def _printable(name: str) -> str:
    """Escape bytes that are not UTF-8: the system hands them on as surrogates, which no file can take."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
