"""Photos, a model and a rule for tests of the checker, and in-memory ports that fail on demand."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import skimage.data
from PIL import Image

from checker.ports import CheckQueue, Classifier, DecisionRule, ImageSource
from checker.testing import InMemoryCheckQueue, InMemoryImageSource
from checker.values import (
    Activations,
    Claim,
    Decision,
    Evidence,
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
    """Return a JPEG of a real photo; each number gives another photo."""
    names = ("chelsea", "coffee", "astronaut", "rocket")
    image = Image.fromarray(getattr(skimage.data, names[number % len(names)])())
    image = image.rotate(7 * (number // len(names))).resize((px, px * 3 // 4))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def flat(colour: str) -> bytes:
    """Return a PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def claim_of(number: int) -> Claim:
    return Claim(number, "token", f"photo-{number}", f"thumbnail-{number}", attempt=1)


class FaultySource(InMemoryImageSource):
    """``InMemoryImageSource`` that can raise errors and be blocked."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[int, Exception] = {}
        """Photo id -> error that every ``get`` of that photo raises."""
        self.gate: threading.Event | None = None
        """If set, ``get`` waits for this event."""
        self.fetching = threading.Event()
        """Set when ``get`` is called."""

    def add(self, number: int, photo_data: bytes | None = None, thumbnail_data: bytes | None = None) -> None:
        """Store photo ``number``. By default the thumbnail is the photo itself."""
        content = photo(number) if photo_data is None else photo_data
        renditions = {Rendition.PHOTO: content, Rendition.THUMBNAIL: content}
        if thumbnail_data is not None:
            renditions[Rendition.THUMBNAIL] = thumbnail_data
        self.put(claim_of(number), renditions)

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        self.fetching.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        if claim.photo_id in self.errors:
            raise self.errors[claim.photo_id]
        return super().get(claim, rendition)


class RecordingQueue(InMemoryCheckQueue):
    """``InMemoryCheckQueue`` that records its calls and fails on demand."""

    def __init__(self, *, lease_s: float = 600.0) -> None:
        self._ahead = timedelta()
        super().__init__(
            lease_s=lease_s, max_attempts=5, backoff_s=1000.0, now=lambda: datetime.now(UTC) + self._ahead
        )
        self.claims = 0
        """Number of calls of ``claim``."""
        self.largest = 0
        """The highest number of photos that were claimed and not finished at the same time."""
        self.released: list[Claim] = []
        self.fails: Callable[[str], None] = lambda _: None
        """Called with the name of the method before it runs; may raise an error."""

    def claim(self, limit: int) -> list[Claim]:
        self.fails("claim")
        with self._changed:
            claims = super().claim(limit)
            self.claims += 1
            self.largest = max(self.largest, len(self.ids("checking")))
            return claims

    def advance(self, seconds: float) -> None:
        """Advance the queue's clock."""
        self._ahead += timedelta(seconds=seconds)

    def begin(self, claims: Sequence[Claim]) -> list[bool]:
        self.fails("begin")
        return super().begin(claims)

    def finish(self, outcomes: Sequence[Outcome]) -> list[bool]:
        self.fails("finish")
        return super().finish(outcomes)

    def release(self, claims: Sequence[Claim]) -> None:
        self.fails("release")
        with self._changed:
            self.released.extend(claims)
            super().release(claims)

    def finished(self, photos: int) -> bool:
        """Wait until the log has outcomes for at least ``photos`` photos; return whether it has."""
        return self.wait_until(lambda: len(self.log) >= photos, 60)


class StubClassifier:
    """A model whose logits are the mean colours of its input."""

    def __init__(self, *, most: int = 1000, fails: Exception | None = None) -> None:
        self.most, self.fails = most, fails
        """The largest batch that ``run`` accepts, and the error that it raises for larger ones."""
        self.batches: list[int] = []
        self.gate: threading.Event | None = None
        """If set, ``run`` waits for this event."""
        self.running = threading.Event()
        self.closed = False

    model_info = ModelInfo("stub", "0" * 64, "torch", "fp32", "cpu", {"stub": "1"})
    preprocessing: Preprocessing = LITE0.preprocessing

    def run(self, batch: Pixels) -> Activations:
        self.batches.append(len(batch))
        self.running.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        if self.fails is not None and len(batch) > self.most:
            raise self.fails
        means = batch.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
        return Activations(
            logits=np.pad(means, ((0, 0), (0, 997)))[:, np.newaxis], features=means[:, np.newaxis]
        )

    def close(self) -> None:
        self.closed = True


@dataclass
class StubRule:
    """A rule whose score depends on every number of the evidence."""

    fails: Exception | None = None

    def decide(self, evidence: Evidence) -> Decision:
        if self.fails is not None:
            raise self.fails
        parts = [*evidence.logits, *evidence.features]
        score = float(sum((weight + 1) * np.abs(part).sum() for weight, part in enumerate(parts)))
        return Decision(Verdict.CAT, score, 0.5, 0.1, "house_cat", "test", None, False, {}, {})


def ports() -> tuple[CheckQueue, ImageSource, Classifier, DecisionRule]:
    """Return a fake of each port, so that mypy compares the fakes with the protocols."""
    return InMemoryCheckQueue(), InMemoryImageSource(), StubClassifier(), StubRule()
