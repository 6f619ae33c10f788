"""The Cat Checker as a service: loads the network, wakes the workers, sweeps what was missed, closes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from checker.cores import available_cores
from checker.errors import ModelRefused
from checker.pipeline import LoadedModel
from checker.ports import CheckQueue, ImageSource
from checker.workers import Workers
from models.errors import ModelsError

__all__ = ["CheckerService", "LoadedModel"]

logger = logging.getLogger(__name__)

# A photo that is due and yet not claimed is just being taken by another process.
_SHORTEST_REST_S = 0.25


class CheckerService:
    """Checks what waits in the queue. Every method may be called from any thread.

    Args:
        load: makes the network; runs once, at the first ``start`` or ``drain``. Its ``ModelRefused`` or
            ``ModelsError`` is what ``state`` tells.
        workers: threads that decode and classify, and as many that fetch; 0: one per core.
        batch_photos: photos of one micro-batch; see ``checker.workers`` for the memory.
        sweep_s: every so often the queue is looked at without a wake-up.
    """

    def __init__(
        self,
        queue: CheckQueue,
        source: ImageSource,
        load: Callable[[], LoadedModel],
        *,
        workers: int = 0,
        batch_photos: int = 4,
        sweep_s: float = 15.0,
    ) -> None:
        self.ready = threading.Event()
        """Set when the network is loaded; never, when it is refused."""
        self._queue, self._load, self._sweep_s = queue, load, sweep_s
        self._pool = Workers(queue, source, workers=workers or available_cores(), batch_photos=batch_photos)
        self._changed = self._pool.changed
        self._loading = threading.Lock()
        self._loaded: LoadedModel | None = None
        self._refusal: str | None = None
        self._wanted = self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Load the network and sweep, in the background; photos wait until it is there."""
        with self._changed:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="checker", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Look at the queue soon. Waits for nothing; a burst of calls is one look."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def drain(self) -> int:
        """Check until nothing is due; how many photos got their verdict meanwhile.

        Raises:
            ModelRefused: the network can't be used; nothing was claimed.
        """
        loaded = self._make_ready()
        with self._changed:
            before = self._pool.finished
            self._pool.send(loaded)
            self._changed.wait_for(lambda: self._pool.active == 0)
            return self._pool.finished - before

    def state(self) -> dict[str, Any]:
        """``state``: ``loading``, ``ready``, ``refused`` (then with a ``reason``) or ``closed``."""
        if self._closing:
            return {"state": "closed"}
        if self._refusal is not None:
            return {"state": "refused", "reason": self._refusal}
        if self._loaded is None:
            return {"state": "loading"}
        model_info = self._loaded.classifier.model_info
        words = {"model": model_info.model, "runtime": model_info.runtime, "precision": model_info.precision}
        return {"state": "ready", **words, "device": model_info.device, "photos_in_hand": self._pool.in_hand}

    def close(self, timeout_s: float = 3.0) -> None:
        """End within ``timeout_s``: batches at work are finished if they make it, other claims given back."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        ended = self._pool.close(timeout_s)
        if self._thread is not None:
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        if ended and self._loaded is not None:
            self._loaded.classifier.close()

    def _run(self) -> None:
        """The sweep's thread."""
        try:
            loaded = self._make_ready()
        except ModelRefused:
            return
        while not self._closing:
            with self._changed:
                self._wanted = False
                self._pool.send(loaded)
                # While a worker is busy only a wake-up matters: it may find the others at rest.
                self._changed.wait_for(lambda: self._wanted or self._closing or self._pool.active == 0)
            rest_s = self._rest_s()
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing, rest_s)

    def _rest_s(self) -> float:
        """Until the next photo or lease is due, if the queue can tell; never longer than the sweep."""
        if self._pool.paused or self._wanted:
            return self._sweep_s
        try:
            due_s = self._queue.next_due_s()
        except Exception as error:  # the top of this thread; a database that is away comes back
            logger.warning("the queue does not answer: %s", error)
            return self._sweep_s
        return self._sweep_s if due_s is None else min(self._sweep_s, max(due_s, _SHORTEST_REST_S))

    def _make_ready(self) -> LoadedModel:
        with self._loading:
            if self._loaded is None and self._refusal is None:
                self._load_once()
        if self._loaded is None:
            raise ModelRefused(self._refusal)
        return self._loaded

    def _load_once(self) -> None:
        started_s = time.monotonic()
        try:
            self._loaded = self._load()
        except (ModelRefused, ModelsError) as error:
            self._refusal = str(error)
            logger.error("nothing will be checked, photos wait: %s", error)
        except Exception as error:  # whatever it is, the site goes on taking photos
            self._refusal = f"The network could not be loaded: {error}"
            logger.exception("nothing will be checked, photos wait")
        else:
            model_info, seconds = self._loaded.classifier.model_info, time.monotonic() - started_s
            weights = model_info.weights_sha256[:8]
            how = f"{model_info.runtime} {model_info.precision} on {model_info.device}, weights {weights}"
            logger.info("%s is loaded after %.1f s (%s)", model_info.model, seconds, how)
            self.ready.set()
