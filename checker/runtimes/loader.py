"""Load the model that checks; make a faster variant of it in the background, and load that one too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from checker.decision.subject import Subject
from checker.pipeline import LoadedModel
from checker.runtimes.making import Making
from checker.runtimes.select import Choice, choose
from checker.runtimes.variants import RuntimeRequest
from models.catalogue import Entry

logger = logging.getLogger(__name__)


class ModelLoader:
    """``checker.service.Successors`` of the model that ``load`` returns. Thread-safe."""

    def __init__(
        self,
        resolve: Callable[[], tuple[Entry, Path]],
        subject: Callable[[], Subject],
        request: RuntimeRequest,
    ) -> None:
        """
        Args:
            resolve, subject: called at the first load; what they raise is raised there.
        """
        self._resolve, self._subject, self._request = resolve, subject, request
        self._choice: Choice | None = None
        self._why_not_faster = ""
        self._making: Making | None = None
        self._closed = False
        self._guard = threading.Lock()

    @property
    def why_not_faster(self) -> str:
        """See ``Successors``. The log has each of its values once."""
        return self._why_not_faster

    def load(self) -> LoadedModel:
        """Load the fastest variant on disk that may check; raises as ``select.choose`` does."""
        choice = choose(*self._resolve(), self._subject(), self._request)
        self._choice = choice
        self._say(choice.why_not_faster)
        return LoadedModel(choice.classifier, choice.rule)

    def next(self) -> LoadedModel | None:
        """Make the faster variant that is missing, then load it. None: none is, or it may not check here.

        It is tried once: another try waits for the next start.
        """
        before = self._choice
        if before is None or before.not_made is None:
            return None
        entry, _ = self._resolve()
        if (reason := self._make(entry, before.not_made.precision)) is None:
            return None
        if reason:
            self._say(f"{before.not_made} is faster than {before.variant}, but could not be made: {reason}")
            return None
        model = self.load()
        assert self._choice is not None
        if str(self._choice.variant) == str(before.variant):  # its self-test failed, as the log says
            model.classifier.close()
            return None
        return model

    def close(self) -> None:
        """End the child process, if there is one."""
        with self._guard:
            self._closed = True
            making = self._making
        if making is not None:
            making.close()

    def _make(self, entry: Entry, precision: str) -> str | None:
        """Return the reason where it could not be made, else an empty string; None where this was closed."""
        with self._guard:
            if self._closed:
                return None
            self._making = Making(entry.name, precision, self._request.weights_dir)
        reason = self._making.wait()
        with self._guard:
            making, self._making = self._making, None
            if self._closed:
                return None
        making.close()
        return reason

    def _say(self, reason: str) -> None:
        if reason and reason != self._why_not_faster:
            logger.warning(reason)
        self._why_not_faster = reason
