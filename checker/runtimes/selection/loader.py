"""Load the model that checks; then make a faster variant or fetch a better model, and load it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from checker.decision.subject import Subject
from checker.pipeline import LoadedModel
from checker.runtimes.selection.auto import Better
from checker.runtimes.selection.background import BackgroundTask
from checker.runtimes.selection.select import SelectedVariant, select_model
from checker.runtimes.selection.variants import RuntimeRequest
from models.catalogue import Entry

logger = logging.getLogger(__name__)


class ModelLoader:
    """The model that ``load`` returns, and variants or models that are better than it. Thread-safe."""

    def __init__(
        self,
        candidates: Callable[[], Sequence[tuple[Entry, Path]]],
        subject: Callable[[], Subject],
        request: RuntimeRequest,
        *,
        better: Callable[[], Better | None] = lambda: None,
    ) -> None:
        """
        Args:
            candidates: returns models with their weights, best first, at least one. If none of a model's
                variants may check, the next model is used.
            candidates, subject: called at each load, which passes on their exceptions.
            better: returns the model that would be the first candidate if its missing parts were on disk.
        """
        self._candidates, self._subject, self._request = candidates, subject, request
        self._better_model = better
        self._choice: SelectedVariant | None = None
        self._tried: set[str] = set()
        self._why_not_faster = ""
        self._task: BackgroundTask | None = None
        self._closed = False
        self._guard = threading.Lock()

    @property
    def why_not_faster(self) -> str:
        """See ``Successors``. Each value is logged once."""
        return self._why_not_faster

    def load(self) -> LoadedModel:
        """Load the fastest variant on disk that may check; raises as ``select.select_model`` does."""
        choice = self._choose()
        self._choice = choice
        self._report(choice.why_not_faster)
        return LoadedModel(choice.classifier, choice.rule)

    def next(self) -> LoadedModel | None:
        """Make the missing faster variant or fetch the better model, then load it.

        Each attempt is made once per process. None: nothing better may check on this machine. Raises as
        ``load`` does.
        """
        return self._faster() or self._better()

    def close(self) -> None:
        """End the child process if one is running."""
        with self._guard:
            self._closed = True
            task = self._task
        if task is not None:
            task.close()

    def _choose(self) -> SelectedVariant:
        return select_model(self._candidates(), self._subject(), self._request)

    def _faster(self) -> LoadedModel | None:
        before = self._choice
        if before is None or (missing := before.not_made) is None:
            return None
        name = before.classifier.model_info.model
        reason = self._run(
            f"{name} {missing}",
            lambda: BackgroundTask.optimise(name, missing.precision, self._request.weights_dir),
        )
        if reason:
            self._report(before.not_makeable(reason).why_not_faster)
        return self._load_another(before) if reason == "" else None

    def _better(self) -> LoadedModel | None:
        before, better = self._choice, self._better_model()
        if before is None or better is None:
            return None
        entry = better.entry
        name, folder = before.classifier.model_info.model, self._request.weights_dir
        if better.fetch:
            if entry.name not in self._tried:
                logger.info("fetching %s (%.0f MB); meanwhile %s checks", entry.name, entry.bytes / 1e6, name)
            reason = self._run(entry.name, lambda: BackgroundTask.fetch(entry.name, folder))
            if reason == "":
                logger.info("fetched %s: %s (%s)", entry.name, entry.source, entry.licence)
        else:
            reason = ""
        if reason == "" and (precision := better.optimise) is not None:
            made = f"{entry.name} OpenVINO {precision}"
            reason = self._run(made, lambda: BackgroundTask.optimise(entry.name, precision, folder))
            if reason and better.runs_in_torch:
                logger.warning("%s could not be made: %s", made, reason)
                reason = ""
        if reason:  # every start without internet access logs this
            logger.info("%s continues to check: %s", name, reason)
        return self._load_another(before) if reason == "" else None

    def _load_another(self, before: SelectedVariant) -> LoadedModel | None:
        """Load the best variant that may check now; None if it is the one in use."""
        model = self.load()
        assert self._choice is not None
        info, info_before = model.classifier.model_info, before.classifier.model_info
        if info.model == info_before.model and str(self._choice.variant) == str(before.variant):
            model.classifier.close()  # the new variant failed its self-test, which was logged
            return None
        return model

    def _run(self, name: str, start: Callable[[], BackgroundTask]) -> str | None:
        """Run a task unless it was tried before.

        Returns:
            The reason if the task failed, else an empty string; None: it was tried before, or this is closed.
        """
        with self._guard:
            if self._closed or name in self._tried:
                return None
            self._tried.add(name)
            self._task = start()
        reason = self._task.wait()
        with self._guard:
            task, self._task = self._task, None
            if self._closed:
                return None
        task.close()
        return reason

    def _report(self, reason: str) -> None:
        if reason and reason != self._why_not_faster:
            logger.warning(reason)
        self._why_not_faster = reason
