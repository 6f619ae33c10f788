"""In-memory ends of the checker's seams: a queue, an object store, a network and a rule."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import skimage.data
from PIL import Image

from checker.errors import ObjectMissing
from checker.ports import (
    Activations,
    CheckQueue,
    Claim,
    Classifier,
    Decision,
    DecisionRule,
    Evidence,
    ImageSource,
    ModelInfo,
    Outcome,
    Pixels,
    Rendition,
    Verdict,
)
from models.catalogue import Preprocessing, entry_named

LITE0 = entry_named("efficientnet_lite0")


@functools.cache
def photo(number: int = 0, px: int = 400) -> bytes:
    """A JPEG of a real photo; every number gives another one."""
    names = ("chelsea", "coffee", "astronaut", "rocket")
    picture = Image.fromarray(getattr(skimage.data, names[number % len(names)])())
    picture = picture.rotate(7 * (number // len(names))).resize((px, px * 3 // 4))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def flat(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def claim_of(number: int, attempt: int = 1) -> Claim:
    return Claim(number, f"token-{attempt}", f"photo-{number}", f"thumbnail-{number}", attempt)


@dataclass
class MemorySource:
    """Objects by key; a key may also hold an error to raise."""

    objects: dict[str, bytes | Exception] = field(default_factory=dict)
    gate: threading.Event | None = None
    """``get`` waits for it."""
    fetching: threading.Event = field(default_factory=threading.Event)

    def add(self, number: int, data: bytes | Exception | None = None) -> None:
        content = photo(number) if data is None else data
        self.objects[f"photo-{number}"] = self.objects[f"thumbnail-{number}"] = content

    def get(self, claim: Claim, view: Rendition) -> bytes:
        self.fetching.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        found = self.objects.get(claim.photo_key if view is Rendition.PHOTO else claim.thumbnail_key)
        if found is None:
            raise ObjectMissing("There is no such object.")
        if isinstance(found, Exception):
            raise found
        return found


class MemoryQueue:
    """Photos by number. A photo whose attempt failed waits until ``again`` is called."""

    def __init__(self, source: MemorySource, photos: int = 0) -> None:
        self._source, self._lock = source, threading.Condition()
        self.waiting: list[tuple[int, int]] = []
        """Number and attempts so far."""
        self.held: dict[Claim, None] = {}
        self.outcomes: list[Outcome] = []
        self.released: list[Claim] = []
        self.claims = 0
        self.largest = 0
        self.fails: Callable[[str], None] = lambda _: None
        """Called with the method's name; may raise."""
        for number in range(photos):
            self.put(number)

    def put(self, number: int, data: bytes | Exception | None = None) -> None:
        self._source.add(number, data)
        with self._lock:
            self.waiting.append((number, 0))

    def claim(self, limit: int) -> Sequence[Claim]:
        self.fails("claim")
        with self._lock:
            taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
            claims = [claim_of(number, attempts + 1) for number, attempts in taken]
            self.held |= dict.fromkeys(claims)
            self.claims += 1
            self.largest = max(self.largest, len(self.held))
            self._lock.notify_all()
            return claims

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool]:
        self.fails("finish")
        with self._lock:
            ours = [outcome.claim in self.held for outcome in outcomes]
            for outcome, is_ours in zip(outcomes, ours, strict=True):
                if is_ours:
                    del self.held[outcome.claim]
                    self.outcomes.append(outcome)
            self._lock.notify_all()
            return ours

    def release(self, claims: Sequence[Claim]) -> None:
        self.fails("release")
        with self._lock:
            for claim in claims:
                del self.held[claim]
                self.released.append(claim)
                self.waiting.append((claim.photo_id, claim.attempt - 1))
            self._lock.notify_all()

    def next_due_s(self) -> float | None:
        return None

    def wait_until(self, condition: Callable[[MemoryQueue], bool], timeout_s: float = 30) -> bool:
        with self._lock:
            return self._lock.wait_for(lambda: condition(self), timeout_s)

    def finished(self, photos: int, timeout_s: float = 30) -> bool:
        return self.wait_until(lambda queue: len(queue.outcomes) >= photos, timeout_s)


class StubClassifier:
    """Answers at once: the logits are the picture's mean colours."""

    def __init__(self, *, most: int = 1000, fails: Exception | None = None) -> None:
        self.most, self.fails = most, fails
        """The largest batch it takes; what it raises beyond that."""
        self.batches: list[int] = []
        self.gate: threading.Event | None = None
        self.running = threading.Event()
        self.closed = False

    model_info = ModelInfo("stub", "0" * 64, "torch", "fp32", "cpu", {"stub": "1"})
    input_px = LITE0.preprocessing.input_px
    preprocessing: Preprocessing = LITE0.preprocessing

    def run(self, batch: Pixels) -> Activations:
        self.batches.append(len(batch))
        self.running.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.fails is not None and len(batch) > self.most:
            raise self.fails
        means = batch.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
        return Activations(logits=np.pad(means, ((0, 0), (0, 997))), features=means)

    def close(self) -> None:
        self.closed = True


@dataclass
class StubRule:
    """Its score is a fingerprint of all that the network said of the photo."""

    fails: Exception | None = None

    def decide(self, evidence: Evidence) -> Decision:
        if self.fails is not None:
            raise self.fails
        photo, thumbnail = evidence.photo, evidence.thumbnail
        parts = (photo.logits, photo.features, thumbnail.logits, thumbnail.features)
        score = float(sum((weight + 1) * np.abs(part).sum() for weight, part in enumerate(parts)))
        return Decision(Verdict.CAT, score, 0.5, 0.1, "house_cat", "test", False, {}, {})


def seams() -> tuple[CheckQueue, ImageSource, Classifier, DecisionRule]:
    """mypy checks here that the fakes are what the protocols ask for."""
    source = MemorySource()
    return MemoryQueue(source), source, StubClassifier(), StubRule()
