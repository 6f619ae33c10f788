"""Tables of labelled photos: CSV files with the columns ``file``, ``label`` and perhaps ``kind``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from checker.evaluation.data_sets.kinds import kind_from_name, normalised
from checker.evaluation.photos import LABELS, NOT_CAT, LabelledPhoto, UnusablePhotos, photo_file, printable

MAIN_TABLE = "labels.csv"
_COLUMNS = frozenset({"file", "label"})


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
    for table in tables:
        try:
            for photo in _rows(table):
                if photos.setdefault(photo.name, photo).label != photo.label:
                    raise UnusablePhotos(
                        f"{table}: {photo.name} is {photo.label} here and {photos[photo.name].label} before"
                    )
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UnusablePhotos(f"{table} cannot be read as a table: {error}") from error
    return list(photos.values())


def _rows(table: Path) -> Iterator[LabelledPhoto]:
    with table.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before UTF-8
        rows = csv.DictReader(file)
        if not set(rows.fieldnames or ()) >= _COLUMNS:
            raise UnusablePhotos(f"{table}: its first line must name the columns file and label")
        for row in rows:
            name, label = row["file"] or "", row["label"] or ""
            if label not in LABELS:
                raise UnusablePhotos(f"{table}: {label!r} is no label; there are {', '.join(LABELS)}")
            path = _existing(table.parent, name)
            if path is None:
                line = f"{table}, line {rows.line_num}"
                raise UnusablePhotos(f"{line}: there is no file {name!r} in this folder")
            kind = normalised(row.get("kind") or "") or None
            if kind is None and label == NOT_CAT:
                kind = kind_from_name(Path(name).name)
            yield photo_file(path, name, label, kind)


def _existing(folder: Path, name: str) -> str | None:
    """Find a file by its name in a table; a name with escaped bytes, as reports print it, too."""
    path = str(folder / name)
    if Path(path).is_file():
        return path
    if "\\x" not in name:
        return None
    in_place = folder / Path(name).parent
    entries = in_place.iterdir() if in_place.is_dir() else ()
    return next((str(entry) for entry in entries if printable(entry.name) == Path(name).name), None)


def _has_columns(path: Path) -> bool:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return set(next(csv.reader(file), ())) >= _COLUMNS
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
