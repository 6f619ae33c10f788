"""Step 8 on a GPU: the micro-batches of several workers in one forward pass.

A GPU's forward pass costs nearly the same for 8 pictures as for 64. So the workers decode, and one thread
takes what they bring within a few milliseconds through the network at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future

import numpy as np

from checker.errors import CheckerError, ClassifierFailed
from checker.ports import Classifier
from checker.values import Activations, ModelInfo, Pixels
from models.catalogue import Preprocessing

WAIT_MS = 3.0
"""How long the first batch waits for company: little beside fetching and decoding one photo."""
MOST_PICTURES = 256
"""In one pass. Memory: ResNet-50 at 224 px in fp16 takes about 10 MB of activations for each."""

_Call = tuple[Pixels, "Future[Activations]"]


class Batcher:
    """A ``Classifier`` around another one, which only its own thread calls. Thread-safe."""

    def __init__(
        self, classifier: Classifier, *, wait_ms: float = WAIT_MS, most_pictures: int = MOST_PICTURES
    ) -> None:
        self._classifier, self._wait_s, self._most_pictures = classifier, wait_ms / 1000, most_pictures
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="forward", daemon=True)
        self._thread.start()

    @property
    def model_info(self) -> ModelInfo:
        return self._classifier.model_info

    @property
    def input_px(self) -> int:
        return self._classifier.input_px

    @property
    def preprocessing(self) -> Preprocessing:
        way: Preprocessing = self._classifier.preprocessing
        return way

    def run(self, batch: Pixels) -> Activations:
        """See ``ports.Classifier``. ``inputs_per_forward`` counts the company too."""
        answer: Future[Activations] = Future()
        with self._changed:
            if self._closing:
                raise ClassifierFailed("The network is closed.")
            self._waiting.append((batch, answer))
            self._changed.notify_all()
        return answer.result()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._classifier.close()

    def _work(self) -> None:
        while calls := self._next():
            self._forward(calls)

    def _next(self) -> list[_Call]:
        """At least one call; none when all is done and closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            until_s = time.monotonic() + self._wait_s
            self._changed.wait_for(
                lambda: self._closing or self._pictures() >= self._most_pictures,
                max(0.0, until_s - time.monotonic()),
            )
            calls: list[_Call] = []
            pictures = 0
            while self._waiting and (not calls or pictures + len(self._waiting[0][0]) <= self._most_pictures):
                calls.append(self._waiting.popleft())
                pictures += len(calls[-1][0])
            return calls

    def _pictures(self) -> int:
        return sum(len(batch) for batch, _ in self._waiting)

    def _forward(self, calls: list[_Call]) -> None:
        try:
            said = self._classifier.run(np.concatenate([batch for batch, _ in calls]))
        except CheckerError as error:
            if len(calls) == 1:
                calls[0][1].set_exception(error)
                return
            for call in calls:  # each by itself: nobody fails for the company's sake
                self._forward([call])
        except BaseException as error:  # the callers' threads must not wait for good
            for _, answer in calls:
                answer.set_exception(error)
        else:
            start = 0
            pictures = said.inputs_per_forward or len(said.logits)
            for batch, answer in calls:
                part = slice(start, start + len(batch))
                answer.set_result(Activations(said.logits[part], said.features[part], pictures))
                start += len(batch)
