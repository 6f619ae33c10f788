"""Loading the model of a checker: again and again while it is refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from checker.errors import ModelRefused
from checker.log_limit import LogLimit, LogLimits
from checker.pipeline import LoadedModel
from models.errors import ModelsError

logger = logging.getLogger(__name__)

_PAUSE_PER_LOAD = 10  # A model that is refused again and again uses a tenth of the time at most.


class ModelLoading:
    """``load``, and the reason why the model is refused.

    Args:
        pause_s: shortest interval between two attempts.
    """

    def __init__(self, load: Callable[[], LoadedModel], pause_s: float) -> None:
        self._load, self._shortest_pause_s, self._pause_s = load, pause_s, pause_s
        self._log_limits = LogLimits()
        self.refusal: str | None = None
        """In one plain sentence; whoever uses a loaded model sets it to None."""

    def raise_refusal(self) -> None:
        if (refusal := self.refusal) is not None:
            raise ModelRefused(refusal)

    def once(self) -> LoadedModel | None:
        """Load the model; None: it is refused, and ``refusal`` has the reason."""
        started_s = time.monotonic()
        try:
            model = self._load()
        except (ModelRefused, ModelsError) as error:
            self.refusal = str(error)
        except Exception as error:  # any error: the site keeps accepting photos
            self.refusal = f"The model could not be loaded: {error}"
            if (suffix := self._log_limits.suffix(type(error).__name__)) is not None:
                logger.exception("the model could not be loaded%s", suffix)
        else:
            log_model("checking", model, f", loaded in {time.monotonic() - started_s:.1f} s")
            return model
        self._pause_s = max(self._shortest_pause_s, _PAUSE_PER_LOAD * (time.monotonic() - started_s))
        return None

    def until_accepted(self, closes_within: Callable[[float], bool]) -> LoadedModel | None:
        """After a refusal, load at intervals until the model is accepted.

        Each reason is logged once; of reasons that differ each time, for example in a number, one a minute.

        Args:
            closes_within: waits for so many seconds; True, earlier, if the checker closes.
        Returns:
            None: the checker closes.
        """
        logged, limit = None, LogLimit()
        while True:
            if self.refusal != logged and (suffix := limit.suffix()) is not None:
                logged = self.refusal
                logger.error("no photo is checked until this is fixed: %s%s", logged, suffix)
            if closes_within(self._pause_s):
                return None
            if (model := self.once()) is not None:
                return model


def log_model(doing: str, model: LoadedModel, more: str = "") -> None:
    """Log which variant of which model checks."""
    info = model.classifier.model_info
    variant = f"{info.model} ({info.runtime} {info.precision}, {info.device})"
    logger.info("%s with %s; weights %s%s", doing, variant, info.weights_sha256[:8], more)
