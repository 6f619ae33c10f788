"""The actor of the engine ``ray``: a process on any machine of the cluster that works like ``local``."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import NamedTuple

from catloader.bulk.engines.local import Batches, Rows, Unit
from catloader.bulk.engines.sources import make_pool, source_of
from catloader.bulk.kept.keep import Task
from catloader.decoders import build_decoders
from catloader.errors import CatLoaderError
from catloader.settings import Settings
from catloader.wiring import build_object_store
from checker.errors import CheckerError
from checker.isolation.limits import die_with
from checker.pipeline import LoadedModel
from models.errors import ModelsError

_EXPECTED = (CheckerError, ModelsError, CatLoaderError)
"""Errors whose text is for the person who runs the plan. The text is sent, because Ray wraps exceptions."""

_WITHOUT_GPU = (
    "The model does not run on the GPU that Ray has on {}. "
    "With CATCHECK_DEVICE=cpu the cores of all machines are used."
)


class UnitResult(NamedTuple):
    """The results of a unit, or the reason why there are none."""

    rows: Rows
    error: str = ""


class UnitChecker:
    """Checks units from fetch to decision, with the pool of threads of ``local``."""

    def __init__(
        self,
        settings: Settings,
        source: str,
        load: Callable[[Settings], LoadedModel],
        *,
        cores: int,
        has_gpu: bool,
        task: Task | None,
    ) -> None:
        # The parent is the raylet. When it has ended, Ray shuts an actor down gently, and could wait forever
        # for the threads of the pool, which wait for their turn.
        die_with(os.getppid())
        settings = settings.with_changes(workers=cores)
        self._submitted: dict[int, Batches] = {}
        self._refusal = ""
        try:
            decoders = build_decoders(settings)
            decoders.start()  # while the model is loaded
            photos = source_of(settings, source, build_object_store(settings), decoders.decode, task)
            model = load(settings)
            if has_gpu and model.classifier.model_info.device == "cpu":
                self._refusal = _WITHOUT_GPU.format(platform.node())
            self._pool = make_pool(settings, photos, decoders.decode, model, task)
        except _EXPECTED as error:
            self._refusal = str(error)

    def ready(self) -> UnitResult:
        """Return once the model is loaded, with no results, and with the error if loading failed."""
        return UnitResult([], self._refusal)

    def check(self, unit: Unit, ahead: Unit | None) -> UnitResult:
        """Return the results of a unit.

        Args:
            ahead: the unit of the next call, if it is known. Its photos are fetched and decoded meanwhile,
                but classified only at that call, when the driver has written this unit.
        """
        number, photos = unit
        try:
            batches = self._submitted.pop(number, None) or self._pool.submit(photos)
            if ahead is not None:
                self._submitted[ahead[0]] = self._pool.submit(ahead[1])
            return UnitResult(self._pool.classify(batches))
        except _EXPECTED as error:
            return UnitResult([], str(error))
