"""The engine ``ray``: Ray Data, here or on a cluster, with actors that decode and actors that hold the model.

Units are sent with their photos, so that machines need no shared folder: only this process reads the manifest
and writes results. Ray repeats lost work itself; if the driver is lost, ``bulk resume`` continues.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice, repeat
from typing import Any

from catloader.bulk.local import Done
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError
from catloader.bulk.sources import source_of
from catloader.bulk.work import judge, prepare
from catloader.checks.promotion import resolve_model
from catloader.decoders import build_decoders
from catloader.errors import CatLoaderError, StartupError
from catloader.settings import Settings
from catloader.wiring import build_object_store, load_model
from checker.errors import CheckerError
from checker.pipeline import LoadedModel
from models.catalogue import Preprocessing
from models.errors import ModelsError

_WAVE_UNITS = 2048
"""Units given to Ray at once: with 128 photos in each, 60 MB of rows in this process."""
_FIRST_WAVE_UNITS = 256
"""Fewer units: nothing is checked while a wave is read and submitted to Ray, at a millisecond per unit."""
_OBJECT_STORE_BYTES = 2**30
"""Object store of a Ray started here: a unit of 128 decoded photos takes 58 MB at 224 pixels."""
_SHARE = 0.5
"""Of a core for each actor without a GPU: those that decode and those that classify take turns."""

_EXPECTED = (CheckerError, ModelsError, CatLoaderError)
"""Errors with a sentence for the person who runs the plan. They travel as text: Ray would wrap them."""

Batch = Mapping[str, Any]


def import_ray() -> Any:
    """Return Ray with Ray Data.

    Raises:
        StartupError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send usage statistics
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its other lines are of no use to operators
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise StartupError("`--engine ray` needs the package ray: pip install 'catloader[ray]'.") from error
    return ray


def run_ray(
    units: Iterable[tuple[int, list[PlannedPhoto]]],
    settings: Settings,
    source: str,
    address: str,
    load: Callable[[Settings], LoadedModel] = load_model,
) -> Iterator[Done]:
    """Yield the results of each unit, in the order in which they become ready.

    Args:
        source: as in ``plan.Facts``.
        address: of a cluster, ``auto`` for the one that runs here; empty: start one for this run.
        load: makes the model, in each actor that classifies.

    Raises:
        BulkError: says which machine failed, and why.
    """
    ray = import_ray()
    entry, _ = resolve_model(settings)
    _start(ray, address, settings)
    try:
        rest = iter(units)
        waves = chain([_FIRST_WAVE_UNITS], repeat(_WAVE_UNITS))
        while wave := list(islice(rest, next(waves))):
            yield from _wave(
                ray,
                wave,
                settings=settings,
                source=source,
                preprocessing=entry.preprocessing,
                load=load,
            )
    except ray.exceptions.RayError as error:
        raise BulkError(f"Ray stopped: {str(error).strip().splitlines()[-1]}") from error
    finally:
        ray.shutdown()


def _start(ray: Any, address: str, settings: Settings) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address:
            ray.init(address=address, **options)
        else:
            ray.init(
                num_cpus=settings.workers or None,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **options,
            )
    except (ConnectionError, OSError, ValueError) as error:
        raise BulkError(f"No Ray at {address or 'this machine'}: {str(error).splitlines()[0]}") from error
    context = ray.data.DataContext.get_current()
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors are raised too
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Each unit is a block of its own: written as soon as it is done, and made again alone if it is lost.
    context.target_max_block_size = 1


def _wave(
    ray: Any,
    wave: list[tuple[int, list[PlannedPhoto]]],
    *,
    settings: Settings,
    source: str,
    preprocessing: Preprocessing,
    load: Callable[[Settings], LoadedModel],
) -> Iterator[Done]:
    there = ray.cluster_resources()
    cores, gpus = int(there.get("CPU", 1)), int(there.get("GPU", 0))
    pool = ray.data.ActorPoolStrategy
    items = [{"unit": unit, "photos": pickle.dumps(photos)} for unit, photos in wave]
    # One task for each: when this process is killed, they still finish all submitted tasks, to no use.
    judges: dict[str, Any] = {"compute": pool(size=gpus or cores, max_tasks_in_flight_per_actor=1)}
    if gpus:
        judges["num_gpus"] = 1
    data = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(
            _Preparer,
            fn_constructor_args=(settings, source, preprocessing),
            batch_size=1,
            num_cpus=_SHARE,
            compute=pool(size=max(1, cores - gpus)),
        )
        .map_batches(_Judge, fn_constructor_args=(settings, load), batch_size=1, num_cpus=_SHARE, **judges)
    )
    for row in data.iter_rows():
        if row["error"]:
            raise BulkError(row["error"])
        yield int(row["unit"]), pickle.loads(row["rows"])  # noqa: S301 - made by our own actors


class _Preparer:
    """An actor that fetches and decodes units."""

    def __init__(self, settings: Settings, source: str, preprocessing: Preprocessing) -> None:
        one = settings.with_changes(workers=1)
        self._decoders = build_decoders(one)
        self._source = source_of(one, source, build_object_store(one), self._decoders.decode)
        self._preprocessing = preprocessing

    def __call__(self, batch: Batch) -> dict[str, Any]:
        (unit,), (blob,) = batch["unit"], batch["photos"]
        photos: list[PlannedPhoto] = pickle.loads(blob)  # noqa: S301 - made by our own driver
        try:
            prepared = prepare(photos, self._source, self._decoders.decode, self._preprocessing)
        except _EXPECTED as error:
            return {"unit": [unit], "prepared": [b""], "error": [str(error)]}
        return {"unit": [unit], "prepared": [pickle.dumps((photos, prepared), protocol=5)], "error": [""]}


class _Judge:
    """An actor that holds the model."""

    def __init__(self, settings: Settings, load: Callable[[Settings], LoadedModel]) -> None:
        self._batch_photos = settings.batch_photos
        self._model: LoadedModel | None = None
        self._refusal = ""
        try:
            self._model = load(settings.with_changes(workers=1))
        except _EXPECTED as error:
            self._refusal = str(error)

    def __call__(self, batch: Batch) -> dict[str, Any]:
        (unit,), (blob,), (error,) = batch["unit"], batch["prepared"], batch["error"]
        rows: list[dict[str, Any]] = []
        if self._model is None:
            error = self._refusal
        elif not error:
            photos, prepared = pickle.loads(blob)  # noqa: S301 - made by our own actors
            try:
                rows = judge(prepared, self._model, photos, self._batch_photos)
            except _EXPECTED as failure:
                error = str(failure)
        return {"unit": [unit], "rows": [pickle.dumps(rows)], "error": [error]}
