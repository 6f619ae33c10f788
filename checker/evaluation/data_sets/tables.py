"""Tables of labelled photos: CSV files with the columns ``file``, ``label`` and optionally ``kind``.

They may come from a spreadsheet program in any language: with commas, semicolons or tabs, in UTF-8, UTF-16 or
the encodings of Windows, DOS and old Macs, and with empty rows.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from checker.evaluation.data_sets.file_names import FileNames
from checker.evaluation.data_sets.kinds import kind_from_name, normalised
from checker.evaluation.photos import LABELS, NOT_CAT, LabelledPhoto, UnusablePhotos, photo_file

MAIN_TABLE = "labels.csv"
_ENDINGS = frozenset({".csv", ".tsv"})
_COLUMNS = frozenset({"file", "label"})
_OF_RESULTS = frozenset({"model", "profile", "score", "verdict"})
"""Columns of the benchmark's own table of an earlier run, which has the labels of that time."""
_SEPARATORS = ",;\t|"
_STATED_SEPARATOR = "sep="
"""Start of the line that Excel needs above the header if the separator is not its language's default."""
_SHOWN = 60
"""Number of characters of a wrong first line that the error message shows."""
_START_BYTES = 8192
"""Bytes read to recognise a table, which may be large: enough for the header and lines above it."""
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


_OF_SYSTEMS = ("cp1252", "cp850", "cp437", "mac_roman")
"""Encodings of Excel's formats "CSV", "CSV (MS-DOS)" in Europe and in the USA, and "CSV (Macintosh)"."""
_NOT_TEXT = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f]")


def tables_in(folder: Path) -> list[Path]:
    """Return ``labels.csv`` and every other table of the folder that has the same columns, except results."""
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _ENDINGS and not path.name.startswith(".") and path.is_file()
    )
    return [path for path in paths if path.name.lower() == MAIN_TABLE or _has_labels(path)]


def from_tables(tables: Iterable[Path]) -> list[LabelledPhoto]:
    """Return the photos of all tables; file names are relative to their table.

    Raises:
        UnusablePhotos: a table cannot be read, has an unknown label, names a missing file, or gives a photo
            another label than an earlier row.
    """
    photos: dict[str, LabelledPhoto] = {}
    """Path of the file -> photo: ``a.jpg`` and ``./a.jpg`` are one photo."""
    for table in tables:
        try:
            for path, photo in _rows(table):
                before = photos.setdefault(os.path.normpath(path), photo).label
                if before != photo.label:
                    raise UnusablePhotos(
                        f"{table}: {photo.name} is labelled {photo.label} here and {before} earlier"
                    )
        except UnicodeDecodeError as error:
            raise UnusablePhotos(f"{table} cannot be read as a table: it is not text") from error
        except OSError as error:
            raise UnusablePhotos(f"{table} cannot be read: {error.strerror}") from error
        except csv.Error as error:
            raise UnusablePhotos(f"{table} cannot be read as a table: {error}") from error
    return list(photos.values())


def _rows(table: Path) -> Iterator[tuple[str, LabelledPhoto]]:
    """Yield each photo and its path."""
    files = FileNames(table.parent)
    rows, above, lines = _reader(_likeliest(_decodings(table.read_bytes()), files))
    columns = rows.fieldnames or ()
    if not set(columns) >= _COLUMNS:
        seen = f", not {', '.join(columns)[:_SHOWN]!r}" if columns else "; it is empty"
        raise UnusablePhotos(f"{table}: its first line must name the columns file and label{seen}")
    if twice := [name for name in (*sorted(_COLUMNS), "kind") if columns.count(name) > 1]:
        raise UnusablePhotos(f"{table}: its first line names the column {twice[0]} twice")
    before = above
    for row in rows:
        if lines.ended:  # this row would contain all following rows
            raise UnusablePhotos(f"{table}, line {before + 1}: a quotation mark is not closed")
        before = rows.line_num + above
        name, label, kind = ((row.get(column) or "").strip() for column in ("file", "label", "kind"))
        if not (name or label):
            continue
        line = f"{table}, line {before}"
        if (known := normalised(label).replace(" ", "_")) not in LABELS:
            raise UnusablePhotos(f"{line}: {label!r} is not a label; the labels are {', '.join(LABELS)}")
        path = files.find(row["file"] or "") or files.find(name)
        if path is None:
            raise UnusablePhotos(f"{line}: there is no file {name!r} in this folder")
        if not kind and known == NOT_CAT:
            kind = kind_from_name(Path(path).name) or ""
        yield path, photo_file(path, name, known, normalised(kind) or None)


def decoded(table: bytes, *, is_whole: bool = True) -> str:
    """Decode a table or list with the encoding that its first bytes state, else as UTF-8 or ``_OF_SYSTEMS``.

    Args:
        is_whole: False: the last character may be cut off.
    Raises:
        UnicodeDecodeError: it is not text.
    """
    return _decodings(table, is_whole=is_whole)[0]


def _decodings(table: bytes, *, is_whole: bool = True) -> list[str]:
    """Return the text of a table or, if its encoding is unknown, all possible texts, the likeliest first."""
    encoding = next((name for mark, name in _ENCODINGS.items() if table.startswith(mark)), None)
    if encoding is None and b"\0" in table[:2]:  # UTF-16 without a mark: half of a Latin letter is zero
        encoding = "utf-16-be" if table[:1] == b"\0" else "utf-16-le"
    try:
        return [codecs.getincrementaldecoder(encoding or "utf-8")().decode(table, final=is_whole)]
    except UnicodeDecodeError:
        if encoding is not None or _NOT_TEXT.search(table):
            raise
    texts = []
    for name in _OF_SYSTEMS:
        with suppress(UnicodeDecodeError):  # five bytes have no meaning in Windows-1252
            texts.append(table.decode(name))
    return texts


def _likeliest(texts: Sequence[str], files: FileNames) -> str:
    """Return the first of the texts in which most names with accents are those of files."""
    if len(texts) == 1:
        return texts[0]

    def existing(text: str) -> int:
        names = ((row.get("file") or "").strip() for row in _reader(text)[0])
        return sum(files.find(name) is not None for name in names if not name.isascii())

    return max(texts, key=existing)


class _Lines:
    """The lines of a table, with their ends."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.ended = False
        """Set when a line was requested after the last line."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._lines.readline()
        if not line:
            self.ended = True
            raise StopIteration
        return line


def _reader(text: str) -> tuple[csv.DictReader[str], int, _Lines]:
    """Find the separator and the columns of a table in its header.

    Returns:
        The remaining rows, the number of lines above them, and the lines that they are read from.
    """
    lines = _Lines(text)
    header, above, separators = "", 0, _SEPARATORS
    while not header.strip() and (header := next(lines, "")):
        above += 1
        stated = header.strip("\r\n").strip('"').lower()
        if stated.startswith(_STATED_SEPARATOR):
            separators = stated[len(_STATED_SEPARATOR) :][:1] or separators
            header = "\n"
    separator = max(separators, key=header.count)
    columns = [
        name.strip().lower()
        for name in next(csv.reader([header.strip("\r\n")], delimiter=separator, skipinitialspace=True), ())
    ]
    return csv.DictReader(lines, columns, delimiter=separator, skipinitialspace=True), above, lines


def _has_labels(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = decoded(file.read(_START_BYTES), is_whole=False)
        columns = set(_reader(start)[0].fieldnames or ())
        return columns >= _COLUMNS and not columns >= _OF_RESULTS
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
