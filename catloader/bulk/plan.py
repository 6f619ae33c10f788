"""A plan: a folder with a manifest, the results so far, and a description.

    plan.json                  model, number of photos and bytes, the source
    manifest/00000.parquet     photos by rising id, in units
    results/00000/000000007.parquet   the outcomes of unit 7: complete or absent
    kept.json                  in a plan of labelled photos: the further columns of results (``keep.py``)
    variant.json               the model in use; written with the first unit
    lock                       locked while the plan is being made or runs
    cancelled                  exists once the plan was cancelled

A unit is done if it has a file in ``results``. There is no other record that could contradict the files.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from catloader.bulk.manifest import (
    UNITS_PER_SHARD,
    PlannedPhoto,
    parquet,
    read_json,
    read_units,
    reading_from,
    writing_to,
)
from catloader.errors import StartupError

if TYPE_CHECKING:
    import pyarrow

_SAME = ("model", "weights_sha256", "runtime", "precision", "profile_id", "subject")
"""Columns of the log that must be equal in all results: a plan does not mix two models."""
_REMEDY = "delete it, and the run checks its photos again"
OF_SHADOW = "current", "candidate"
"""Folders of the two plans of ``models shadow --bulk``."""
UNFINISHED = frozenset({"manifest", "kept.json", "kept.draft", "plan.draft", "lock"})
"""Files of a plan that is being made; ``plan.json`` is written last."""


class BulkError(StartupError):
    """A plan does not exist, is running already, or can't continue."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of ``plan.json``."""

    model: str
    unit_rows: int
    photos: int
    size_bytes: int
    source: str
    """``TABLE`` or ``FILES`` (with the folder) of ``engines.sources``, or the bucket that was listed."""


class Plan:
    """A plan on disk. One process runs it at a time; other processes may read it and cancel it."""

    def __init__(self, folder: Path) -> None:
        """Read ``plan.json``.

        Raises:
            BulkError: the folder is not a plan.
        """
        self.folder = folder
        try:
            self.facts = Facts(**read_json(folder / "plan.json"))
        except (OSError, ValueError, TypeError, RecursionError):
            raise BulkError(f"{folder} is not a plan; `catloader bulk plan` makes one.") from None

    @classmethod
    def make(cls, folder: Path, facts: Facts) -> Plan:
        """Write ``plan.json``, as the last step: a folder without it is not a plan."""
        write_atomically(folder / "plan.json", json.dumps(asdict(facts), indent=2).encode() + b"\n")
        return cls(folder)

    @property
    def units(self) -> int:
        return -(-self.facts.photos // self.facts.unit_rows)

    @property
    def variant(self) -> dict[str, Any] | None:
        """The variant of the model that began the plan, as in the log; None: no unit is done.

        Raises:
            BulkError: the file that says so is damaged.
        """
        path = self.folder / "variant.json"
        try:
            variant = read_json(path)
            return {name: variant[name] for name in _SAME}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise BulkError(f"{path} is damaged: make a new plan.") from error

    def is_done(self, unit: int) -> bool:
        return self._result(unit).is_file()

    def done(self) -> int:
        """Count the units that are done."""
        return sum(1 for _ in (self.folder / "results").glob("*/*.parquet"))

    def remaining(self) -> Iterator[tuple[int, list[PlannedPhoto]]]:
        """Yield the units without a result; a unit is looked at when the iteration reaches it."""
        missing = (unit for unit in range(self.units) if not self.is_done(unit))
        return read_units(self.folder / "manifest", missing)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Hold the plan's lock, which is released even when the process is killed.

        Raises:
            BulkError: another process is running the plan.
        """
        with locked(self.folder, "is running already"):
            (self.folder / "cancelled").unlink(missing_ok=True)
            yield

    @property
    def is_running(self) -> bool:
        try:
            with FileLock(self.folder / "lock", timeout=0):
                return False
        except Timeout:
            return True

    @property
    def cancelled(self) -> bool:
        return (self.folder / "cancelled").exists()

    def cancel(self) -> None:
        """Ask the process that runs the plan to stop after the units in progress."""
        (self.folder / "cancelled").touch()

    def write(self, unit: int, rows: Sequence[Mapping[str, Any]], kept: Mapping[str, pyarrow.Array]) -> None:
        """Write the results of a unit: all of them, or none if this process is killed.

        Args:
            kept: further columns, in a plan of labelled photos.

        Raises:
            BulkError: the results are from another model or variant than earlier results.
        """
        self._refuse_another_variant(rows)
        pa = parquet()
        sink = pa.BufferOutputStream()
        table = pa.Table.from_pylist(list(rows), schema=_results_schema())
        for name, column in kept.items():
            table = table.append_column(name, column)
        # Measured values do not repeat: with a dictionary the file takes half as much space again, and time.
        pa.parquet.write_table(table, sink, compression="zstd", use_dictionary=not kept)
        path = self._result(unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, sink.getvalue().to_pybytes())

    def results(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the results of each unit that is done, in the order of their numbers."""
        yield from (table.to_pylist() for _, table in self.tables(_results_schema().names))

    def tables(self, columns: Sequence[str]) -> Iterator[tuple[Path, pyarrow.Table]]:
        """Yield the file and these columns of each unit that is done, in the order of their numbers.

        Raises:
            StartupError: a file of results is damaged or can't be read.
        """
        pa = parquet()
        for path in sorted((self.folder / "results").glob("*/*.parquet")):
            with reading_from(path, _REMEDY), pa.parquet.ParquetFile(path) as file:
                table = file.read(list(columns))
            yield path, table

    def _refuse_another_variant(self, rows: Sequence[Mapping[str, Any]]) -> None:
        logs = (json.loads(row["log"]) for row in rows if row["log"])
        for variant in ({name: log[name] for name in _SAME} for log in logs if log["model"]):
            if (before := self.variant) is None:
                path = self.folder / "variant.json"
                write_atomically(path, json.dumps(variant, indent=2).encode() + b"\n")
            elif before != variant:
                present, planned = (
                    f"{info['model']} {info['runtime']} {info['precision']} ({info['weights_sha256'][:8]}, "
                    f"{info['profile_id']})"
                    for info in (variant, before)
                )
                raise BulkError(
                    f"This plan was begun with {planned}, and this machine checks with {present}."
                )

    def _result(self, unit: int) -> Path:
        return self.folder / "results" / f"{unit // UNITS_PER_SHARD:05}" / f"{unit:09}.parquet"


def _results_schema() -> pyarrow.Schema:
    pa = parquet()
    text, score = pa.string(), pa.float64()
    return pa.schema(
        [
            ("photo_id", pa.int64()),
            ("key", text),
            ("sha256", text),
            ("old_status", text),
            ("old_score", score),
            ("old_checked_at", pa.timestamp("us", "UTC")),
            ("verdict", text),
            ("score", score),
            ("error", text),
            ("log", text),
        ]
    )


@contextlib.contextmanager
def locked(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock of a plan, which is released even when the process is killed.

    Args:
        otherwise: end of the error's sentence, after the name of the plan.

    Raises:
        BulkError: another process has the lock.
    """
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise BulkError(f"The plan {folder.name} {otherwise}.") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that is complete or absent, even after a power failure. Raises as ``writing_to``."""
    draft = path.with_suffix(".draft")
    with writing_to(path):
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # else a power failure could keep the new name without the content
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
