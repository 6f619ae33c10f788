"""The model of a checker, which follows the choices of administrators without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from catloader.checks.measured_profile import write_measured_profile
from catloader.checks.promotion import Promotion, keep, model_in_force, models_named
from catloader.errors import StartupError, StoreUnavailable
from catloader.settings import Settings
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoice, ModelChoices
from catloader.store.db.engine import utcnow
from checker.errors import ModelRefused
from checker.log_limit import LogLimits
from checker.pipeline import LoadedModel
from checker.runtimes.selection.auto import AUTO
from checker.runtimes.selection.loader import ModelLoader
from models.catalogue import Entry
from models.errors import ModelsError

logger = logging.getLogger(__name__)

MakeLoader = Callable[[Callable[[], Sequence[tuple[Entry, Path]]]], ModelLoader]


class _LoadedElsewhere(ModelRefused):
    """Another checker checks with the chosen model, and this one can't load it."""


class FollowedModel:
    """``checker.service.Successors`` that also supplies each newly chosen model.

    A choice is refused if no checker has loaded it yet and this checker can't load it; the previous choice
    then applies again. Once another checker has loaded it, this one stops checking instead. The data folder's
    ``model.json`` follows the choice: commands read it, and so does a checker that starts while the database
    is unavailable. The profiles in the data folder follow the chosen thresholds in the same way.
    """

    def __init__(
        self,
        settings: Settings,
        choices: ModelChoices,
        profiles: MeasuredProfiles,
        make_loader: MakeLoader,
        *,
        poll_s: float,
    ) -> None:
        self._settings, self._choices, self._make_loader = settings, choices, make_loader
        self._profiles = profiles
        self._measured_id: int | None = None
        """Id of the measured thresholds in the data folder's profiles."""
        self._poll_s = poll_s
        self._name = AUTO
        self._latest: ModelChoice | None = None
        """The choice that the database had when it last answered."""
        self._is_kept = True
        """False: ``model.json`` does not have the choice that this checker follows yet."""
        self._is_searched = False
        """True while the loader looks for a better variant of its model, and once it has found no more."""
        self._search: Future[LoadedModel | None] | None = None
        self._loader = self._loader_of(AUTO)
        self._closing, self._woken = threading.Event(), threading.Event()
        self._log_limits = LogLimits()

    @property
    def why_not_faster(self) -> str:
        return self._loader.why_not_faster

    def load(self) -> LoadedModel:
        """Load the chosen model; raises as ``ModelLoader.load`` does."""
        with suppress(StoreUnavailable):  # the profile of the previous run stays
            self._take_thresholds()
        while True:
            choice = self._current()
            known = choice or self._latest  # ``model.json`` may still have the model before
            try:
                return self._follow(choice, known.model if known else model_in_force(self._settings))
            except (ModelRefused, ModelsError) as error:
                if choice is None or not self._is_refused(choice, error):
                    raise

    def next(self) -> LoadedModel | None:
        """Wait for a better variant or another choice and load it; return None once this is closed.

        Raises:
            ModelRefused: another checker has loaded the choice, and this one can't.
        """
        while not self._closing.is_set():
            try:
                if (model := self._better_variant() or self._newly_chosen()) is not None:
                    return model
            except StoreUnavailable:  # the queue logs it; the next poll tries again
                pass
            except _LoadedElsewhere:
                raise
            except Exception:  # an unexpected error must not keep later choices from being followed
                if (suffix := self._log_limits.suffix("round")) is not None:
                    logger.exception("the chosen model could not be looked for%s", suffix)
            self._woken.wait(self._poll_s)
            self._woken.clear()
        self._end_search()
        return None

    def _better_variant(self) -> LoadedModel | None:
        """Return the variant that the search has found, if any; start the search, which may take minutes."""
        if not self._is_searched:
            self._is_searched = True  # even if the search raises
            self._search = _in_thread(self._loader.next)
            self._search.add_done_callback(lambda _: self._woken.set())
        if self._search is None or not self._search.done():
            return None
        search, self._search = self._search, None
        model = search.result()
        self._is_searched = model is None
        return model

    def _end_search(self) -> None:
        """End the search if there is one; a model that it still finds is closed."""
        self._loader.close()
        if self._search is not None:
            self._search.add_done_callback(_close_found)
            self._search = None

    def close(self) -> None:
        self._closing.set()
        self._woken.set()
        self._loader.close()

    def _newly_chosen(self) -> LoadedModel | None:
        choice = self._current()
        if self._take_thresholds():
            return self._reload()
        if choice is None:
            return None
        if choice.model == self._name:  # chosen again, after a model that this checker has not loaded
            if choice.loaded_at is None or not self._is_kept:
                self._mark_loaded(choice)
            return None
        try:
            return self._follow(choice, choice.model)
        except (ModelRefused, ModelsError, StartupError) as error:
            if not self._is_refused(choice, error):
                raise _LoadedElsewhere(str(error)) from error
            return None

    def _is_refused(self, choice: ModelChoice, error: Exception) -> bool:
        """Refuse a choice that can't be loaded here; False: another checker has loaded it."""
        if self._choices.refuse(choice.id, str(error)):
            logger.error("the chosen model %s can't check here: %s", choice.model, error)
            return True
        current = self._choices.current()
        return current is None or current.id != choice.id  # another checker has refused it, or it is replaced

    def _reload(self) -> LoadedModel | None:
        try:
            return self._follow(None, self._name)
        except (ModelRefused, ModelsError, StartupError) as error:
            logger.error("the model can't check with the chosen thresholds: %s", error)
            return None

    def _take_thresholds(self) -> bool:
        """Write the profile with the chosen thresholds, or remove it; return True if they have changed."""
        choice = self._profiles.choice()
        measured_id = choice.measured_id if choice else None
        changed = measured_id != self._measured_id
        measured = self._profiles.by_id(measured_id) if measured_id is not None else None
        profiles = self._settings.data_dir / "profiles"
        try:
            write_measured_profile(profiles, measured.profile if measured else None)
        except OSError as error:
            self._log_unwritten("the profile of the chosen thresholds", error)
            return False
        self._measured_id = measured_id
        return changed

    def _follow(self, choice: ModelChoice | None, name: str) -> LoadedModel:
        loader = self._loader_of(name)
        model = loader.load()
        self._end_search()
        self._loader, self._name, self._is_searched = loader, name, False
        if choice is not None:
            self._mark_loaded(choice)
        return model

    def _mark_loaded(self, choice: ModelChoice) -> None:
        self._is_kept = False
        with suppress(StoreUnavailable):  # the loaded model keeps serving; another checker marks it
            self._choices.mark_loaded(choice.id, utcnow())
            previous = self._choices.previous()
            try:
                keep(self._settings, Promotion(choice.model, previous))
                self._is_kept = True
            except OSError as error:
                self._log_unwritten(f"model.json with {choice.model}", error)

    def _log_unwritten(self, what: str, error: OSError) -> None:
        """Log why the data folder lags behind the database, as on a full disk; the next poll tries again."""
        if (suffix := self._log_limits.suffix(what)) is not None:
            logger.error("can't write %s: %s%s", what, error.strerror or error, suffix)

    def _current(self) -> ModelChoice | None:
        """Return the current choice; None if the settings name a model, or the database is unavailable."""
        if self._settings.model != AUTO:
            return None
        try:
            self._latest = self._choices.current()
        except StoreUnavailable:  # the queue logs it; the next poll tries again
            return None
        return self._latest

    def _loader_of(self, name: str) -> ModelLoader:
        return self._make_loader(lambda: models_named(self._settings, name))


def _in_thread(find: Callable[[], LoadedModel | None]) -> Future[LoadedModel | None]:
    future: Future[LoadedModel | None] = Future()

    def run() -> None:
        try:
            model = find()
        except Exception as error:  # the top of this thread; ``result`` raises it
            future.set_exception(error)
        else:
            future.set_result(model)

    threading.Thread(target=run, name="better-variant", daemon=True).start()
    return future


def _close_found(search: Future[LoadedModel | None]) -> None:
    if search.exception() is None and (model := search.result()) is not None:
        model.classifier.close()
