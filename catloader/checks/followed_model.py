"""The model of a checker that follows what administrators choose, without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from catloader.checks.promotion import Promotion, keep, model_in_force, models_named
from catloader.errors import StartupError, StoreUnavailable
from catloader.settings import Settings
from catloader.store.db.engine import utcnow
from catloader.store.db.model_choices import ModelChoice, ModelChoices
from checker.errors import ModelRefused
from checker.pipeline import LoadedModel
from checker.runtimes.auto import AUTO
from checker.runtimes.loader import ModelLoader
from models.catalogue import Entry
from models.errors import ModelsError

logger = logging.getLogger(__name__)
MakeLoader = Callable[[Callable[[], Sequence[tuple[Entry, Path]]]], ModelLoader]


class FollowedModel:
    """``checker.service.Successors`` that also supplies each newly chosen model.

    A choice that no checker has loaded and that this one can't load is refused, so that the one before holds
    again. The data folder's ``model.json`` follows the choice: it counts where the database is away at the
    start, and for commands.
    """

    def __init__(
        self, settings: Settings, choices: ModelChoices, make_loader: MakeLoader, *, poll_s: float
    ) -> None:
        self._settings, self._choices, self._make_loader = settings, choices, make_loader
        self._poll_s = poll_s
        self._name, self._seen_id = AUTO, 0
        self._is_searched = False
        """True once the loader has no better variant of the model that it loaded."""
        self._loader = self._loader_of(AUTO)
        self._closing = threading.Event()

    @property
    def why_not_faster(self) -> str:
        return self._loader.why_not_faster

    def load(self) -> LoadedModel:
        """Load the chosen model; raises as ``ModelLoader.load`` does."""
        while True:
            choice = self._current()
            try:
                return self._follow(choice, choice.model if choice else model_in_force(self._settings))
            except (ModelRefused, ModelsError) as error:
                if choice is None or not self._choices.refuse(choice.id, str(error)):
                    raise
                _log_refusal(choice, error)

    def next(self) -> LoadedModel | None:
        """Wait for a better variant, then for other choices; None once it is closed."""
        while not self._closing.is_set():
            if not self._is_searched and (model := self._loader.next()) is not None:
                return model
            self._is_searched = True
            try:
                if (model := self._newly_chosen()) is not None:
                    return model
            except StoreUnavailable:  # the queue says so, too; the next poll comes
                pass
            self._closing.wait(self._poll_s)
        return None

    def close(self) -> None:
        self._closing.set()
        self._loader.close()

    def _newly_chosen(self) -> LoadedModel | None:
        choice = self._current()
        if choice is None or choice.id == self._seen_id:
            return None
        if choice.model == self._name:
            self._seen_id = choice.id
            return None
        try:
            return self._follow(choice, choice.model)
        except (ModelRefused, ModelsError, StartupError) as error:
            self._choices.refuse(choice.id, str(error))
            self._seen_id = choice.id
            _log_refusal(choice, error)
            return None

    def _follow(self, choice: ModelChoice | None, name: str) -> LoadedModel:
        loader = self._loader_of(name)
        model = loader.load()
        self._loader, self._name, self._is_searched = loader, name, False
        if choice is not None:
            self._seen_id = choice.id
            with suppress(StoreUnavailable):  # a loaded model serves; another checker marks it
                self._choices.mark_loaded(choice.id, utcnow())
                keep(self._settings, Promotion(name, self._choices.previous()))
        return model

    def _current(self) -> ModelChoice | None:
        """Return the choice that holds; None where a name in the settings wins, or the database is away."""
        if self._settings.model != AUTO:
            return None
        with suppress(StoreUnavailable):  # the queue says so, too; the next poll comes
            return self._choices.current()
        return None

    def _loader_of(self, name: str) -> ModelLoader:
        return self._make_loader(lambda: models_named(self._settings, name))


def _log_refusal(choice: ModelChoice, error: Exception) -> None:
    logger.error("the chosen model %s can't check here: %s", choice.model, error)
