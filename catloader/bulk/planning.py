"""Make plans of photos in the table, below a prefix of a bucket, or in a folder."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from catloader.bulk.engines.sources import FILES, TABLE
from catloader.bulk.inputs.objects import bucket_and_prefix, listed, listed_files
from catloader.bulk.manifest import PlannedPhoto, write_manifest
from catloader.bulk.plan import UNFINISHED, BulkError, Facts, Plan, locked
from catloader.settings import Settings
from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.checks.rechecks import RecheckFilter
from catloader.wiring import Services


def plans_folder(settings: Settings) -> Path:
    """Return the folder of plans that commands refer to by name."""
    return settings.data_dir / "bulk"


def plan_of_table(
    services: Services,
    folder: Path,
    model: str,
    photos: RecheckFilter,
    unit_rows: int,
    *,
    limit: int | None = None,
) -> Plan:
    """Make a plan of at most ``limit`` finished photos in the table, read page by page."""
    rows = islice(BulkTable(services.engine).planned(photos), limit)
    return make_plan(folder, (PlannedPhoto(*row) for row in rows), model, unit_rows, TABLE)


def plan_of_prefix(settings: Settings, folder: Path, model: str, address: str, unit_rows: int) -> Plan:
    """Make a plan of the objects below ``s3://bucket/prefix``, which is listed once."""
    bucket, prefix = bucket_and_prefix(address)
    return make_plan(folder, listed(settings, bucket, prefix), model, unit_rows, bucket)


def plan_of_folder(folder: Path, model: str, photos: str, unit_rows: int) -> Plan:
    """Make a plan of the photos in and below the folder ``photos``, which is listed once."""
    return make_plan(folder, listed_files(photos), model, unit_rows, f"{FILES}{Path(photos).absolute()}")


def make_plan(folder: Path, photos: Iterable[PlannedPhoto], model: str, unit_rows: int, source: str) -> Plan:
    """Write the manifest of these photos, then the plan.

    Raises:
        BulkError: as ``planning``.
    """
    with planning(folder):
        return Plan.make(folder, write_photos(folder, photos, model, unit_rows, source))


@contextlib.contextmanager
def planning(folder: Path) -> Iterator[None]:
    """Hold the lock of a plan while it is made; remove the unfinished files of a killed process.

    Raises:
        BulkError: the folder has a plan or other files, or another process makes the plan.
    """
    _refuse_other_files(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "is being made already"):
        _refuse_other_files(folder)  # another process may have finished the plan
        shutil.rmtree(folder / "manifest", ignore_errors=True)
        (folder / "kept.json").unlink(missing_ok=True)
        try:
            yield
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # there is no plan.json yet; the name is free again
            raise


def _refuse_other_files(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= UNFINISHED):
        raise BulkError(f"{folder} exists already; give the plan another name.")


def write_photos(
    folder: Path, photos: Iterable[PlannedPhoto], model: str, unit_rows: int, source: str
) -> Facts:
    """Write the manifest of a plan that is being made."""
    rows, size_bytes = write_manifest(folder / "manifest", photos, unit_rows)
    return Facts(model, unit_rows, rows, size_bytes, source)
