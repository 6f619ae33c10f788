"""The manifest of a plan: Parquet files (shards) whose row groups are the units of work.

A unit is a row group, so it can be read without the rest of its shard, and without listing an object store.
Memory: one unit while writing; while reading, the metadata of one shard (about 10 MB) and one unit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from catloader.errors import StartupError

if TYPE_CHECKING:
    import pyarrow

UNITS_PER_SHARD = 8192
"""With units of 128 rows a shard has 1 048 576."""


class Label(NamedTuple):
    """The label of a photo in a plan of labelled photos."""

    row: int
    """Number of the photo in the plan, from 0; its augmentations depend on it."""
    name: str
    label: str
    kind: str
    """Label and kind as in ``checker.evaluation.photos``."""


class PlannedPhoto(NamedTuple):
    """One row of a manifest: where the photo is, and the verdict that it had when the plan was made."""

    photo_id: int
    photo_key: str
    thumbnail_key: str
    photo_sha256: str | None
    thumbnail_sha256: str | None
    size_bytes: int
    status: str | None
    score: float | None
    checked_at: datetime | None
    labelled: Label | None = None
    """None except in a plan of labelled photos; manifests of other plans lack this column."""


def parquet() -> Any:
    """Return pyarrow with its module ``parquet``.

    Raises:
        StartupError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise StartupError(
            "`catloader bulk` needs the package pyarrow: pip install 'catloader[bulk]'."
        ) from error
    return pyarrow


def label_type() -> pyarrow.DataType:
    """Return the type of a column of labels."""
    pa = parquet()
    text = pa.string()
    return pa.struct(list(zip(Label._fields, (pa.int64(), text, text, text), strict=True)))


def _schema(*, labelled: bool) -> pyarrow.Schema:
    pa = parquet()
    text, number = pa.string(), pa.int64()
    types = (number, text, text, text, text, number, text, pa.float64(), pa.timestamp("us", "UTC"))
    columns = list(zip(PlannedPhoto._fields[: len(types)], types, strict=True))
    return pa.schema([*columns, ("labelled", label_type())] if labelled else columns)


def write_manifest(folder: Path, photos: Iterable[PlannedPhoto], unit_rows: int) -> tuple[int, int]:
    """Write the shards; return the number of photos and the sum of their sizes in bytes.

    Either all photos have a label or none has.
    """
    pa = parquet()
    rows = size_bytes = number = 0
    rest = iter(photos)
    unit = list(islice(rest, unit_rows))
    schema = _schema(labelled=bool(unit) and unit[0].labelled is not None)
    folder.mkdir(parents=True)
    while unit:
        path = _shard(folder, number)
        with _writer(path, schema) as shard:
            for _ in range(UNITS_PER_SHARD):
                rows += len(unit)
                size_bytes += sum(photo.size_bytes for photo in unit)
                with writing_to(path):
                    shard.write_table(pa.Table.from_pylist([_as_row(photo) for photo in unit], schema=schema))
                unit = list(islice(rest, unit_rows))  # outside `writing_to`: this error is not the shard's
                if not unit:
                    break
        number += 1
    return rows, size_bytes


@contextmanager
def _writer(path: Path, schema: pyarrow.Schema) -> Iterator[Any]:
    with writing_to(path):
        writer = parquet().parquet.ParquetWriter(path, schema, compression="zstd")
    try:
        yield writer
    finally:
        with writing_to(path):
            writer.close()
            with path.open("rb") as file:
                os.fsync(file.fileno())  # before plan.json, which says that the manifest is complete


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name the file in errors of the disk: errors of pyarrow and of ``write`` do not.

    Raises:
        StartupError: the disk is full, or fails.
    """
    try:
        yield
    except OSError as error:
        if error.filename:  # the error is of another file, perhaps of a file being read
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartupError(f"{path} can't be written: {reason}.") from error


@contextmanager
def reading_from(path: Path, remedy: str) -> Iterator[None]:
    """Name the file in errors of pyarrow.

    Raises:
        StartupError: the file is damaged or missing, and the text ends with ``remedy``; or it can't be read.
    """
    try:
        yield
    except (OSError, parquet().ArrowException) as error:
        refuse_unreadable(path, error)
        raise StartupError(f"{path} is damaged or missing: {remedy}.") from error


def read_json(path: Path) -> Any:
    """Return the content of a file of a plan.

    Raises:
        OSError: there is no such file.
        ValueError, RecursionError: it is damaged.
        StartupError: it can't be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        refuse_unreadable(path, error)
        raise


def refuse_unreadable(path: Path, error: Exception) -> None:
    """Return if the file is damaged or missing; for damaged data, pyarrow's ``OSError`` has no number.

    Raises:
        StartupError: its content may be right: permission, the disk, a network share, or the limit of open
            files prevents that it is read.
    """
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    if isinstance(error, OSError) and error.errno and not missing:
        raise StartupError(f"{path} can't be read: {os.strerror(error.errno)}.") from error


def read_units(folder: Path, units: Iterable[int]) -> Iterator[tuple[int, list[PlannedPhoto]]]:
    """Yield the photos of these units; if the numbers of units rise, each shard is opened once.

    Raises:
        StartupError: a shard is damaged or missing, or can't be read.
    """
    pa = parquet()
    opened: tuple[int, Any] | None = None
    with ExitStack() as stack:
        for unit in units:
            number, row_group = divmod(unit, UNITS_PER_SHARD)
            with reading_from(path := _shard(folder, number), "make a new plan"):
                if opened is None or opened[0] != number:
                    stack.close()
                    opened = number, stack.enter_context(pa.parquet.ParquetFile(path))
                rows = opened[1].read_row_group(row_group).to_pylist()
            yield unit, [_planned(row) for row in rows]


def read_photos(folder: Path, rows: Sequence[int], unit_rows: int) -> list[PlannedPhoto]:
    """Return the photos with these row numbers in a manifest, in this order."""
    units = dict(read_units(folder, sorted({row // unit_rows for row in rows})))
    return [units[row // unit_rows][row % unit_rows] for row in rows]


def _as_row(photo: PlannedPhoto) -> dict[str, Any]:
    return {**photo._asdict(), "labelled": photo.labelled and photo.labelled._asdict()}


def _planned(row: dict[str, Any]) -> PlannedPhoto:
    label = row.pop("labelled", None)
    return PlannedPhoto(**row, labelled=label and Label(**label))


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.parquet"
