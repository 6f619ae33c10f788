"""Step 8, batch, on a GPU: share one forward pass among the micro-batches of several workers.

A forward pass on a GPU takes nearly the same time for 8 inputs as for 64. So the workers decode, and one
thread runs the model on all micro-batches that wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future

import numpy as np

from checker.errors import CheckerError, ClassifierFailed
from checker.ports import Classifier
from checker.runtimes.batch_sizes import SIZES
from checker.values import Activations, ModelInfo, Pixels
from models.catalogue import Preprocessing

MAX_INPUTS = SIZES[-1]
"""Maximum of one forward pass. Memory: ResNet-50 at 224 px in fp16 takes about 10 MB per input."""

_Call = tuple[Pixels, "Future[Activations]"]


class Batcher:
    """A ``Classifier`` around another one, which only the batcher's thread calls. Thread-safe."""

    def __init__(
        self, classifier: Classifier, *, window_ms: float = 0.0, max_inputs: int = MAX_INPUTS
    ) -> None:
        """
        Args:
            window_ms: batching window (experimental): how long the first micro-batch waits for others. With
                0, a forward pass takes the micro-batches that arrived during the previous pass.
            max_inputs: maximum of one forward pass; a larger micro-batch is not combined with others.
        """
        self._classifier, self._window_s, self._max_inputs = classifier, window_ms / 1000, max_inputs
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="forward", daemon=True)
        self._thread.start()

    @property
    def model_info(self) -> ModelInfo:
        return self._classifier.model_info

    @property
    def preprocessing(self) -> Preprocessing:
        return self._classifier.preprocessing

    def run(self, batch: Pixels) -> Activations:
        """See ``ports.Classifier``. ``inputs_per_forward`` includes the inputs of other callers."""
        result: Future[Activations] = Future()
        with self._changed:
            if self._closing:
                raise ClassifierFailed("The model is closed.")
            self._waiting.append((batch, result))
            self._changed.notify_all()
        return result.result()

    def close(self) -> None:
        """Finish the waiting calls, then close the model; later calls raise ``ClassifierFailed``."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._classifier.close()

    def _work(self) -> None:
        while calls := self._next_calls():
            self._forward(calls)

    def _next_calls(self) -> list[_Call]:
        """Wait for at least one call; return an empty list once the batcher is closed and no call waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            deadline_s = time.monotonic() + self._window_s
            self._changed.wait_for(
                lambda: self._closing or self._inputs_waiting() >= self._max_inputs,
                max(0.0, deadline_s - time.monotonic()),
            )
            calls: list[_Call] = []
            inputs = 0
            while self._waiting and (not calls or inputs + len(self._waiting[0][0]) <= self._max_inputs):
                calls.append(self._waiting.popleft())
                inputs += len(calls[-1][0])
            return calls

    def _inputs_waiting(self) -> int:
        return sum(len(batch) for batch, _ in self._waiting)

    def _forward(self, calls: list[_Call]) -> None:
        try:
            outputs = self._classifier.run(np.concatenate([batch for batch, _ in calls]))
        except CheckerError as error:
            if len(calls) == 1:
                calls[0][1].set_exception(error)
                return
            for call in calls:  # one failing request does not fail the batch
                self._forward([call])
        except BaseException as error:  # the callers' threads must not wait forever
            for _, result in calls:
                result.set_exception(error)
        else:
            start = 0
            inputs = outputs.inputs_per_forward or len(outputs.logits)
            for batch, result in calls:
                rows = slice(start, start + len(batch))
                result.set_result(Activations(outputs.logits[rows], outputs.features[rows], inputs))
                start += len(batch)
