"""The manifest of a plan: Parquet files (shards) whose row groups are the units of work.

A unit is a row group, so it is read without reading the rest of its shard, and no object store is listed.
Memory: one unit while writing; while reading, the directory of one shard (about 10 MB) and one unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from catloader.errors import StartupError

if TYPE_CHECKING:
    import pyarrow

UNITS_PER_SHARD = 8192
"""With units of 128 rows a shard has 1 048 576."""


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


def parquet() -> Any:
    """Return pyarrow with its module ``parquet``.

    Raises:
        StartupError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise StartupError(
            "`catloader bulk` needs the package pyarrow: pip install 'catloader[bulk]'."
        ) from error
    return pyarrow


def _schema() -> pyarrow.Schema:
    pa = parquet()
    text, number = pa.string(), pa.int64()
    types = (number, text, text, text, text, number, text, pa.float64(), pa.timestamp("us", "UTC"))
    return pa.schema(list(zip(PlannedPhoto._fields, types, strict=True)))


def write_manifest(folder: Path, photos: Iterable[PlannedPhoto], unit_rows: int) -> tuple[int, int]:
    """Write the shards; return the number of photos and of their bytes."""
    pa, schema = parquet(), _schema()
    rows = size_bytes = number = 0
    rest = iter(photos)
    unit = list(islice(rest, unit_rows))
    folder.mkdir(parents=True)
    while unit:
        with pa.parquet.ParquetWriter(_shard(folder, number), schema, compression="zstd") as shard:
            for _ in range(UNITS_PER_SHARD):
                rows += len(unit)
                size_bytes += sum(photo.size_bytes for photo in unit)
                columns = [list(values) for values in zip(*unit, strict=True)]
                shard.write_table(pa.table(columns, schema=schema))
                unit = list(islice(rest, unit_rows))
                if not unit:
                    break
        number += 1
    return rows, size_bytes


def read_units(folder: Path, units: Iterable[int]) -> Iterator[tuple[int, list[PlannedPhoto]]]:
    """Yield the photos of these units; units by rising number open each shard once."""
    pa = parquet()
    opened: tuple[int, Any] | None = None
    with ExitStack() as stack:
        for unit in units:
            number, place = divmod(unit, UNITS_PER_SHARD)
            if opened is None or opened[0] != number:
                stack.close()
                opened = number, stack.enter_context(pa.parquet.ParquetFile(_shard(folder, number)))
            columns = opened[1].read_row_group(place).to_pydict().values()
            yield unit, [PlannedPhoto(*row) for row in zip(*columns, strict=True)]


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.parquet"
