"""Run a plan: check its photos, unit by unit, and write the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from catloader.bulk.engines.local import Done, run_local
from catloader.bulk.engines.ray_engine import run_ray
from catloader.bulk.engines.sources import make_pool, source_of
from catloader.bulk.kept.columns import kept_columns
from catloader.bulk.kept.keep import keep_of, task_of
from catloader.bulk.plan import Plan
from catloader.settings import Settings
from catloader.wiring import Services, load_model
from checker.pipeline import LoadedModel
from checker.runtimes.selection.auto import AUTO


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run."""

    photos: int
    """Photos done by this run."""
    left: int
    photos_per_s: float


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
        CheckerError, ModelsError: nothing can be checked; the text says why.
    """
    settings = _continuing(services.settings.with_changes(model=plan.facts.model), plan)
    keep = keep_of(plan)
    with plan.running():
        if plan.done() == plan.units:
            return  # before a model is loaded or Ray starts
        left = plan.facts.photos - min(plan.facts.photos, plan.done() * plan.facts.unit_rows)
        begun_s, photos = time.monotonic(), 0
        for unit, rows in _results(services, settings, plan, engine=engine, address=address, load=load):
            plan.write(unit, rows, kept_columns(rows, keep) if keep else {})
            photos, left = photos + len(rows), max(0, left - len(rows))
            yield Progress(photos, left, photos / (time.monotonic() - begun_s))
            if plan.cancelled:
                return


def _continuing(settings: Settings, plan: Plan) -> Settings:
    """Return the settings with the variant that began the plan, unless others are set.

    Otherwise ``auto`` could mean a faster variant, which a running site has made since.
    """
    before = plan.variant
    requested = (("runtime", settings.runtime), ("precision", settings.precision))
    if before is None or any(value not in (AUTO, before[name]) for name, value in requested):
        return settings
    return settings.with_changes(runtime=before["runtime"], precision=before["precision"])


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
