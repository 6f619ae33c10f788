"""Tables of labelled photos: CSV files with the columns ``file``, ``label`` and perhaps ``kind``.

They may be exported by a spreadsheet in any language: with commas, semicolons or tabs, and empty rows.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from checker.evaluation.data_sets.kinds import kind_from_name, normalised
from checker.evaluation.photos import LABELS, NOT_CAT, LabelledPhoto, UnusablePhotos, photo_file, printable

MAIN_TABLE = "labels.csv"
_COLUMNS = frozenset({"file", "label"})
_SEPARATORS = ",;\t"


def tables_in(folder: Path) -> list[Path]:
    """Return ``labels.csv`` and every other CSV file of the folder that has the same columns."""
    paths = sorted(path for path in folder.glob("*.csv") if not path.name.startswith(".") and path.is_file())
    return [path for path in paths if path.name == MAIN_TABLE or _has_columns(path)]


def from_tables(tables: Iterable[Path]) -> list[LabelledPhoto]:
    """Return the photos of all tables; file names are relative to their table.

    Raises:
        UnusablePhotos: a table cannot be read, has an unknown label, names a missing file, or gives a photo
            another label than the table before.
    """
    photos: dict[str, LabelledPhoto] = {}
    """By the file's path: ``a.jpg`` and ``./a.jpg`` are one photo."""
    for table in tables:
        try:
            for path, photo in _rows(table):
                before = photos.setdefault(os.path.normpath(path), photo).label
                if before != photo.label:
                    raise UnusablePhotos(
                        f"{table}: {photo.name} is labelled {photo.label} here and {before} earlier"
                    )
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UnusablePhotos(f"{table} cannot be read as a table: {error}") from error
    return list(photos.values())


def _rows(table: Path) -> Iterator[tuple[str, LabelledPhoto]]:
    """Yield each photo and its path."""
    with table.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before UTF-8
        rows = _reader(file)
        listed: dict[Path, dict[str, str]] = {}
        if not set(rows.fieldnames or ()) >= _COLUMNS:
            raise UnusablePhotos(f"{table}: its first line must name the columns file and label")
        for row in rows:
            name, label, kind = ((row.get(column) or "").strip() for column in ("file", "label", "kind"))
            if not (name or label):
                continue
            line = f"{table}, line {rows.line_num + 1}"
            if (known := normalised(label).replace(" ", "_")) not in LABELS:
                raise UnusablePhotos(f"{line}: {label!r} is not a label; the labels are {', '.join(LABELS)}")
            label = known
            path = _existing(table.parent, row["file"]) or _existing(table.parent, name)
            path = path or _differently_composed(table.parent / name, listed)
            if path is None:
                raise UnusablePhotos(f"{line}: there is no file {name!r} in this folder")
            if not kind and label == NOT_CAT:
                kind = kind_from_name(Path(path).name) or ""
            yield path, photo_file(path, name, label, normalised(kind) or None)


def _reader(file: TextIO) -> csv.DictReader[str]:
    """Read the first line of a table for its separator and columns; the rows are left."""
    first = file.readline()
    separator = max(_SEPARATORS, key=first.count)
    columns = [
        name.strip().lower()
        for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True), ())
    ]
    return csv.DictReader(file, columns, delimiter=separator, skipinitialspace=True)


def _existing(folder: Path, name: str) -> str | None:
    """Find a file by its name in a table, also by a name with escaped bytes as reports print it."""
    path = str(folder / name)
    if Path(path).is_file():
        return path
    if "\\" in name and (folder / name.replace("\\", "/")).is_file():  # a table from Windows
        return str(folder / name.replace("\\", "/"))
    if "\\x" not in name:
        return None
    in_place = folder / Path(name).parent
    entries = in_place.iterdir() if in_place.is_dir() else ()
    return next((str(entry) for entry in entries if printable(entry.name) == Path(name).name), None)


def _differently_composed(path: Path, listed: dict[Path, dict[str, str]]) -> str | None:
    """Find a file whose name has the same letters in other code points: Macs take accents apart.

    Args:
        listed: composed name -> path, for each folder; filled here, because listing a folder for each row
            would take hours.
    """
    if path.name.isascii():
        return None
    if path.parent not in listed:
        entries = path.parent.iterdir() if path.parent.is_dir() else ()
        listed[path.parent] = {unicodedata.normalize("NFC", entry.name): str(entry) for entry in entries}
    return listed[path.parent].get(unicodedata.normalize("NFC", path.name))


def _has_columns(path: Path) -> bool:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return set(_reader(file).fieldnames or ()) >= _COLUMNS
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
