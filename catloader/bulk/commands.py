"""The use cases of ``catloader bulk``: make a plan, run it."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from catloader.bulk.engines.local import Done, run_local
from catloader.bulk.engines.ray_engine import run_ray
from catloader.bulk.engines.sources import FILES, TABLE, make_pool, source_of
from catloader.bulk.inputs.objects import bucket_and_prefix, listed, listed_files
from catloader.bulk.kept.columns import kept_columns
from catloader.bulk.kept.keep import keep_of, task_of
from catloader.bulk.manifest import PlannedPhoto, write_manifest
from catloader.bulk.plan import UNFINISHED, BulkError, Facts, Plan, locked
from catloader.settings import Settings
from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.checks.rechecks import RecheckFilter
from catloader.wiring import Services, load_model
from checker.pipeline import LoadedModel


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run."""

    photos: int
    """Photos done by this run."""
    left: int
    photos_per_s: float


def plans_folder(settings: Settings) -> Path:
    """Return the folder of the plans that are called by their name."""
    return settings.data_dir / "bulk"


def plan_of_table(
    services: Services,
    folder: Path,
    model: str,
    chosen: RecheckFilter,
    unit_rows: int,
    *,
    limit: int | None = None,
) -> Plan:
    """Make a plan of finished photos in the table, at most ``limit``, read page by page."""
    rows = islice(BulkTable(services.engine).planned(chosen), limit)
    return make_plan(folder, (PlannedPhoto(*row) for row in rows), model, unit_rows, TABLE)


def plan_of_prefix(settings: Settings, folder: Path, model: str, address: str, unit_rows: int) -> Plan:
    """Make a plan of the objects below ``s3://bucket/prefix``, which are listed once."""
    bucket, prefix = bucket_and_prefix(address)
    return make_plan(folder, listed(settings, bucket, prefix), model, unit_rows, bucket)


def plan_of_folder(folder: Path, model: str, photos: str, unit_rows: int) -> Plan:
    """Make a plan of the photos in and below the folder ``photos``, which are listed once."""
    return make_plan(folder, listed_files(photos), model, unit_rows, FILES)


def make_plan(folder: Path, photos: Iterable[PlannedPhoto], model: str, unit_rows: int, source: str) -> Plan:
    """Write the manifest of these photos, then the plan.

    Raises:
        BulkError: as ``planning``.
    """
    with planning(folder):
        return Plan.make(folder, write_photos(folder, photos, model, unit_rows, source))


@contextlib.contextmanager
def planning(folder: Path) -> Iterator[None]:
    """Hold the lock of a plan while it is made; remove what an earlier, killed process has written of it.

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
            shutil.rmtree(folder, ignore_errors=True)  # it has no plan.json, and its name is free again
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


def run(
    services: Services,
    plan: Plan,
    engine: str = "local",
    address: str = "",
    load: Callable[[Settings], LoadedModel] = load_model,
) -> Iterator[Progress]:
    """Check the photos of the units that are not done yet; yield after each unit.

    Units are written atomically: if this process is killed, only the units in progress are lost.

    Args:
        load: makes the model, in each process that classifies.

    Raises:
        BulkError: the plan is running already, or was begun with another variant of the model.
        CheckerError, ModelsError: nothing can be checked; says why.
    """
    settings = services.settings.with_changes(model=plan.facts.model)
    keep = keep_of(plan)
    with plan.running():
        if plan.done() == plan.units:
            return  # without a model or Ray
        left = plan.facts.photos - min(plan.facts.photos, plan.done() * plan.facts.unit_rows)
        begun_s, photos = time.monotonic(), 0
        for unit, rows in _results(services, settings, plan, engine=engine, address=address, load=load):
            plan.write(unit, rows, kept_columns(rows, keep) if keep else {})
            photos, left = photos + len(rows), max(0, left - len(rows))
            yield Progress(photos, left, photos / (time.monotonic() - begun_s))
            if plan.cancelled:
                return


def _results(
    services: Services,
    settings: Settings,
    plan: Plan,
    *,
    engine: str,
    address: str,
    load: Callable[[Settings], LoadedModel],
) -> Iterator[Done]:
    task = task_of(plan)
    if engine == "ray":
        yield from run_ray(plan.remaining(), settings, plan.facts.source, address, load=load, task=task)
        return
    model = load(settings)
    services.decoders.start()
    decode = services.decoders.decode
    try:
        photos = source_of(settings, plan.facts.source, services.objects, decode, task)
        pool = make_pool(settings, photos, decode, model, task)
        yield from run_local(plan.remaining(), pool)
    finally:
        model.classifier.close()
