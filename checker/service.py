"""The Cat Checker as a service: loads the model, wakes the workers, sweeps the queue, shuts down in time."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from checker.errors import ModelRefused
from checker.log_limit import LogLimits
from checker.model_loading import ModelLoading, log_model
from checker.pipeline import Fetched, LoadedModel
from checker.pixels.decode import decode_each
from checker.ports import CheckQueue, Decoder, ImageSource
from checker.process.cores import available_cores
from checker.process.interrupts import deferred_interrupt
from checker.values import Claim, Outcome, Rendition
from checker.workers import Workers

logger = logging.getLogger(__name__)

# A photo that is due but was not claimed is about to be claimed by another process: wait for that.
_SHORTEST_WAIT_S = 0.25
_INTERRUPT_S = 0.5  # Longest time until Ctrl-C ends ``drain``.
_NO_CLAIM = Claim(photo_id=0, token="", photo_key="", thumbnail_key="", attempt=1)


class Successors(Protocol):
    """Supplies the models that may take over from the model that was loaded first. Thread-safe."""

    @property
    def why_not_faster(self) -> str:
        """One plain sentence on the faster variants that do not serve; empty if there are none."""
        ...

    def next(self) -> LoadedModel | None:
        """Wait for a model that is better than the last one; None: there will be no better model.

        Raises:
            ModelRefused: the last model must not check any more, and the model to check with can't.
        """
        ...

    def close(self) -> None:
        """Make ``next`` return soon."""
        ...


class CheckerService:
    """Checks all due photos of a queue. Every method may be called from any thread.

    Args:
        load: makes the model, at the first ``start`` or ``drain``. The message of its ``ModelRefused`` or
            ``ModelsError`` becomes the ``reason`` in ``state``; ``start`` then tries again at intervals.
        decode: step 7; ``IsolatedDecoder`` for photos that can't be trusted.
        workers: threads that decode and classify, and as many that fetch; 0: one per core.
        successors: models that take over later, while photos are checked (not in ``drain``).
        batch_photos: photos in a micro-batch; see ``checker.workers`` for the memory.
        sweep_s: longest interval between two sweeps of the queue without a wake-up.
    """

    def __init__(
        self,
        queue: CheckQueue,
        source: ImageSource,
        load: Callable[[], LoadedModel],
        *,
        decode: Decoder = decode_each,
        successors: Successors | None = None,
        workers: int = 0,
        batch_photos: int = 4,
        sweep_s: float = 15.0,
    ) -> None:
        self.ready = threading.Event()
        """Set once a model is loaded; a refused model is loaded again at intervals."""
        self._queue, self._sweep_s = queue, sweep_s
        self._successors = successors
        self._pool = Workers(
            queue, source, decode, workers=workers or available_cores(), batch_photos=batch_photos
        )
        self._changed = self._pool.changed
        self._loading, self._first_load = ModelLoading(load, sweep_s), threading.Lock()
        self._log_limits = LogLimits()
        self._model: LoadedModel | None = None
        self._woken = self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Load the model and sweep the queue in the background; photos wait until it is loaded."""
        with self._changed:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="checker", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Ask for a sweep of the queue. Never blocks; a burst of calls leads to one sweep."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def drain(self) -> int:
        """Check until nothing is due.

        Returns:
            Number of photos that this process gave a verdict meanwhile.
        Raises:
            ModelRefused: the model can't be used; nothing was claimed.
        """
        self._model_or_refusal()
        with deferred_interrupt(), self._changed:
            before = self._pool.finished
            assert self._model is not None
            self._pool.wake(self._model)
        while True:
            with deferred_interrupt(), self._changed:
                if self._changed.wait_for(lambda: self._pool.active == 0, _INTERRUPT_S):
                    return self._pool.finished - before

    def judge(self, renditions: Mapping[Rendition, bytes]) -> Outcome:
        """Check a photo that is in no queue (steps 7 to 9), in the caller's thread; nothing is written.

        Raises:
            NotReady: the model is not loaded yet.
            ModelRefused: the model can't be used.
        """
        self._loading.raise_refusal()
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in renditions.items()}
        (outcome,) = self._pool.classify([Fetched(_NO_CLAIM, dict(renditions), sha256=digests)])
        return outcome

    def state(self) -> dict[str, Any]:
        """Return ``state``: ``loading``, ``ready``, ``refused`` (with a ``reason``) or ``closed``.

        ``why_not_faster`` is included if a faster variant of the model does not serve.
        """
        if self._closing:
            return {"state": "closed"}
        if self._loading.refusal is not None:
            return {"state": "refused", "reason": self._loading.refusal}
        if self._model is None:
            return {"state": "loading"}
        info = self._model.classifier.model_info
        reason = self._successors.why_not_faster if self._successors else ""
        return {
            "state": "ready",
            **({"why_not_faster": reason} if reason else {}),
            "model": info.model,
            "runtime": info.runtime,
            "precision": info.precision,
            "device": info.device,
            "photos_in_hand": self._pool.in_hand,
        }

    def close(self, timeout_s: float = 3.0) -> None:
        """Shut down within ``timeout_s``: running batches are finished if possible, others are released."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._successors is not None:
            self._successors.close()
        ended = self._pool.close(timeout_s)
        if self._thread is not None:
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        if ended and self._model is not None:
            self._model.classifier.close()

    def _run(self) -> None:
        """Sweep until closed (the target of the service's thread)."""
        try:
            self._model_or_refusal()
        except ModelRefused:
            self._load_until_accepted()
        if self._successors is not None and not self._closing:
            successors = (self._successors,)
            threading.Thread(target=self._succeed, args=successors, name="successors", daemon=True).start()
        while not self._closing:
            with self._changed:
                self._woken = False
                if self._loading.refusal is None:
                    assert self._model is not None
                    self._pool.wake(self._model)
                # While any worker is busy only a wake-up matters: the idle workers may find new photos.
                self._changed.wait_for(lambda: self._woken or self._closing or self._pool.active == 0)
            wait_s = self._next_look_s()
            with self._changed:
                self._changed.wait_for(lambda: self._woken or self._closing, wait_s)

    def _succeed(self, successors: Successors) -> None:
        """Replace the model with each successor in turn (the target of a thread)."""
        try:
            while not self._closing:
                try:
                    model = successors.next()
                except ModelRefused as error:
                    with self._changed:
                        self._loading.refusal, self._pool.paused = str(error), True
                    self._load_until_accepted()
                    continue
                if model is None:
                    break
                log_model("from now on checking", model)
                self._replace_model(model)
        except Exception:  # the top of this thread; the current model keeps serving
            logger.exception("no other variant takes over")

    def _load_until_accepted(self) -> None:
        """Load again while the model is refused, until it checks or this is closed."""
        if (model := self._loading.until_accepted(self._closes_within)) is not None:
            self._replace_model(model)

    def _closes_within(self, wait_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, wait_s)

    def _replace_model(self, model: LoadedModel) -> None:
        """Check with another model from now on; the previous one is closed after its last batch."""
        with self._changed:
            if self._closing:
                return
            before, self._model, self._loading.refusal = self._model, model, None
            self._pool.wake(model)
        self.ready.set()
        if before is not None:
            self._pool.wait_until_unused(before)
            before.classifier.close()

    def _next_look_s(self) -> float:
        """Seconds until the next photo or lease is due, at most ``sweep_s``."""
        if self._pool.paused or self._woken:
            return self._sweep_s
        try:
            due_s = self._queue.next_due_s()
        except Exception as error:  # the top of this thread; the database may come back
            if (suffix := self._log_limits.suffix("queue")) is not None:
                logger.warning("the queue does not answer: %s%s", error, suffix)
            return self._sweep_s
        return self._sweep_s if due_s is None else min(self._sweep_s, max(due_s, _SHORTEST_WAIT_S))

    def _model_or_refusal(self) -> None:
        """Load the model at the first call; raise the refusal if there is one."""
        with self._first_load:
            if self._model is None and self._loading.refusal is None:
                self._model = self._loading.once()
                if self._model is not None:
                    self.ready.set()
        self._loading.raise_refusal()
