"""Steps 6 to 9 for a micro-batch: claims go in, exactly one outcome per claim comes out.

``fetch`` and ``classify`` are separate: the next batch is fetched while the current one is classified.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from checker.errors import (
    CheckerError,
    ClassifierFailed,
    DecoderUnavailable,
    DecodingFailed,
    ModelRefused,
    ObjectAltered,
    StoreUnavailable,
    Unexpected,
    UnreadableImage,
)
from checker.pixels.decode import decode_each
from checker.ports import Classifier, DecisionRule, Decoder, ImageSource
from checker.upright import upright_evidence
from checker.values import INPUTS_PER_PHOTO, Claim, Evidence, Outcome, Pixels, Rendition

logger = logging.getLogger(__name__)


class LoadedModel(NamedTuple):
    """A model that is ready to classify, with its decision rule."""

    classifier: Classifier
    rule: DecisionRule


@dataclass(slots=True)
class Fetched:
    """A claim with its encoded renditions, or with the error that prevented the fetch."""

    claim: Claim
    renditions: dict[Rendition, bytes] = field(default_factory=dict)
    error: CheckerError | None = None
    sha256: dict[Rendition, str] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    started_s: float = field(default_factory=time.perf_counter)


def check_batch(
    claims: Sequence[Claim],
    source: ImageSource,
    classifier: Classifier,
    rule: DecisionRule,
    decode: Decoder = decode_each,
) -> list[Outcome]:
    """Check photos: steps 6 to 9. One outcome per claim, in their order; raises nothing."""
    return classify(fetch(claims, source), classifier, rule, decode)


def fetch(claims: Sequence[Claim], source: ImageSource) -> list[Fetched]:
    """Fetch both renditions of each claim, one after the other (step 6)."""
    return [_fetch_one(claim, source) for claim in claims]


def parts(batch: Sequence[Fetched]) -> list[list[Fetched]]:
    """Group first attempts together, and put every photo that has failed before into a separate part.

    If such a photo stops the process again, no other photo is blamed for it.
    """
    first = [item for item in batch if item.claim.attempt == 1]
    return [part for part in (first, *([item] for item in batch if item.claim.attempt > 1)) if part]


def classify(
    batch: Sequence[Fetched], classifier: Classifier, rule: DecisionRule, decode: Decoder = decode_each
) -> list[Outcome]:
    """Decode and classify fetched photos (steps 7 to 9). One outcome per claim, in their order."""
    outcomes: dict[int, Outcome] = {}
    fetched: list[int] = []
    for index, item in enumerate(batch):
        if item.error is None:
            fetched.append(index)
        else:
            outcomes[index] = _failed(item, item.error)
    readable: list[tuple[int, Pixels]] = []
    decoded = _decode([batch[index] for index in fetched], classifier, decode)
    for index, pixels in zip(fetched, decoded, strict=True):
        if isinstance(pixels, CheckerError):
            outcomes[index] = _failed(batch[index], pixels)
        else:
            readable.append((index, pixels))
    if readable:
        indices, inputs = zip(*readable, strict=True)
        items = [batch[index] for index in indices]
        decided = _forward(items, np.concatenate(inputs), classifier, rule)
        outcomes.update(zip(indices, decided, strict=True))
    return [outcomes[index] for index in range(len(batch))]


def _fetch_one(claim: Claim, source: ImageSource) -> Fetched:
    item = Fetched(claim)
    try:
        for rendition in Rendition:
            data, digest = _get(source, claim, rendition)
            item.renditions[rendition] = data
            item.sha256[rendition] = digest
    except CheckerError as error:
        # The traceback is dropped: it would keep the locals of the failed calls alive, with decoded photos.
        error.__cause__ = error.__context__ = None
        item.error = error.with_traceback(None)
    except Exception as error:  # the boundary of one photo: the rest of the batch continues
        item.error = _unexpected(item, error)
    item.ms["fetch"] = _ms_since(item.started_s)
    return item


def _get(source: ImageSource, claim: Claim, rendition: Rendition) -> tuple[bytes, str]:
    """Fetch a rendition and compare its SHA-256 with the claim's; fetch it a second time if they differ.

    Raises:
        ObjectAltered: they still differ; logged as an error, with the key.
        CheckerError: the errors of ``ImageSource.get``.
    """
    expected = claim.sha256(rendition)
    for _ in range(2):
        data = source.get(claim, rendition)
        digest = hashlib.sha256(data).hexdigest()
        if expected is None or digest == expected:
            return data, digest
    logger.error(
        "photo %d: the object store holds other bytes under the key %s of its %s than were stored "
        "(SHA-256 %s instead of %s)",
        claim.photo_id,
        claim.key(rendition),
        rendition,
        digest,
        expected,
    )
    raise ObjectAltered(f"The photo store gave a {rendition} that is not the one that was stored.")


def _decode(
    items: Sequence[Fetched], classifier: Classifier, decode: Decoder
) -> Iterator[Pixels | CheckerError]:
    """Yield each photo's model inputs, uint8 ``(INPUTS_PER_PHOTO, H, W, 3)``, or an error."""
    started_s = time.perf_counter()
    photos = [dict(item.renditions) for item in items]
    for item in items:
        item.renditions.clear()  # so that ``decode`` can free the bytes of each photo that it has decoded
    for item, pixels in zip(items, decode(photos, classifier.preprocessing), strict=True):
        item.ms["decode"] = _ms_since(started_s)
        yield pixels
        started_s = time.perf_counter()


def _forward(
    items: Sequence[Fetched], pixels: Pixels, classifier: Classifier, rule: DecisionRule
) -> list[Outcome]:
    """Classify N items from ``(INPUTS_PER_PHOTO * N, H, W, 3)``: the inputs of each item in turn."""
    started_s = time.perf_counter()
    try:
        activations = classifier.run(pixels)
        evidence = upright_evidence(activations, pixels, classifier)
    except ClassifierFailed as error:
        if len(items) == 1:
            cause = _unexpected(items[0], error) if _works(classifier, pixels) else error
            return [_failed(items[0], cause)]
        half = len(items) // 2
        logger.warning("%s; trying again with batches of %d", error, half)
        return [
            *_forward(items[:half], pixels[: INPUTS_PER_PHOTO * half], classifier, rule),
            *_forward(items[half:], pixels[INPUTS_PER_PHOTO * half :], classifier, rule),
        ]
    except Exception as error:  # the boundary of one batch
        return [_failed(item, _unexpected(item, error)) for item in items]
    forward_ms = _ms_since(started_s)
    batch_size = activations.inputs_per_forward or len(pixels)
    outcomes = []
    for index, item in enumerate(items):
        item.ms["classify"] = forward_ms
        outcomes.append(_decide(item, evidence[index], batch_size, classifier, rule))
    return outcomes


def _works(classifier: Classifier, pixels: Pixels) -> bool:
    """Return True if the classifier works on other inputs of this shape, so that only these make it fail."""
    with suppress(Exception):  # any error means that the classifier does not work
        classifier.run(np.zeros_like(pixels))
        return True
    return False


def _decide(
    item: Fetched, evidence: Evidence, batch_size: int, classifier: Classifier, rule: DecisionRule
) -> Outcome:
    try:
        decision = rule.decide(evidence)
    except CheckerError as error:
        return _failed(item, error)
    except Exception as error:  # the boundary of one photo
        return _failed(item, _unexpected(item, error))
    item.ms["total"] = _ms_since(item.started_s)
    return Outcome(
        claim=item.claim,
        decision=decision,
        model_info=classifier.model_info,
        photo_sha256=item.sha256[Rendition.PHOTO],
        thumbnail_sha256=item.sha256[Rendition.THUMBNAIL],
        batch_size=batch_size,
        ms=_rounded(item.ms),
    )


def _failed(item: Fetched, error: CheckerError) -> Outcome:
    item.ms["total"] = _ms_since(item.started_s)
    return Outcome(
        claim=item.claim,
        error=str(error) or type(error).__name__,
        unreadable=isinstance(error, UnreadableImage | DecodingFailed),
        # A refused model says nothing about the photo, which waits for a model that works.
        retryable=error.retryable or isinstance(error, ModelRefused),
        blames_machine=isinstance(
            error, StoreUnavailable | ClassifierFailed | DecoderUnavailable | ModelRefused
        ),
        photo_sha256=item.sha256.get(Rendition.PHOTO),
        thumbnail_sha256=item.sha256.get(Rendition.THUMBNAIL),
        ms=_rounded(item.ms),
    )


def _unexpected(item: Fetched, error: Exception) -> Unexpected:
    logger.error("photo %d: %s", item.claim.photo_id, error, exc_info=error)
    return Unexpected(f"The checker failed on this photo ({type(error).__name__}).")


def _ms_since(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000


def _rounded(ms: dict[str, float]) -> dict[str, float]:
    return {stage: round(value, 1) for stage, value in ms.items()}
