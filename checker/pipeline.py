"""Steps 6 to 9, batch: a micro-batch of claims goes in, exactly one outcome per claim comes out.

Fetch and the rest are two functions, so that the fetch of the next batch can run beside the forward
pass of this one.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from checker.errors import (
    CheckerError,
    ClassifierFailed,
    ModelRefused,
    StoreUnavailable,
    Unexpected,
    UnreadableImage,
)
from checker.pixels.crop import preprocessing_of
from checker.pixels.decode import decode
from checker.ports import Classifier, DecisionRule, ImageSource
from checker.values import Claim, Evidence, Outcome, Pixels, Rendition

logger = logging.getLogger(__name__)


class LoadedModel(NamedTuple):
    """A model that is ready to serve, with its decision rule."""

    classifier: Classifier
    rule: DecisionRule


@dataclass(slots=True)
class Fetched:
    """One claim on its way: first the bytes, or why there are none."""

    claim: Claim
    renditions: dict[Rendition, bytes] = field(default_factory=dict)
    error: CheckerError | None = None
    sha256: dict[Rendition, str] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    started_s: float = field(default_factory=time.perf_counter)


def check_batch(
    claims: Sequence[Claim], source: ImageSource, classifier: Classifier, rule: DecisionRule
) -> list[Outcome]:
    """Check some photos; one outcome per claim, in their order. Raises nothing."""
    return judge(fetch(claims, source), classifier, rule)


def fetch(claims: Sequence[Claim], source: ImageSource) -> list[Fetched]:
    """Step 6: both renditions of each claim, one after the other."""
    return [_fetch_one(claim, source) for claim in claims]


def judge(batch: Sequence[Fetched], classifier: Classifier, rule: DecisionRule) -> list[Outcome]:
    """Steps 7 to 9 for what was fetched; one outcome per claim, in their order."""
    outcomes: dict[int, Outcome] = {}
    readable: list[tuple[int, Pixels]] = []
    for place, item in enumerate(batch):
        pixels = _decode_one(item, classifier)
        if isinstance(pixels, Outcome):
            outcomes[place] = pixels
        else:
            readable.append((place, pixels))
    if readable:
        items = [batch[place] for place, _ in readable]
        verdicts = _classify(items, np.concatenate([pixels for _, pixels in readable]), classifier, rule)
        outcomes.update(zip((place for place, _ in readable), verdicts, strict=True))
    return [outcomes[place] for place in range(len(batch))]


def _fetch_one(claim: Claim, source: ImageSource) -> Fetched:
    item = Fetched(claim)
    try:
        for view in Rendition:
            data = source.get(claim, view)
            item.renditions[view] = data
            item.sha256[view] = hashlib.sha256(data).hexdigest()
    except CheckerError as error:
        # Not its traceback: that would keep every local of what failed, decoded renditions too.
        error.__cause__ = error.__context__ = None
        item.error = error.with_traceback(None)
    except Exception as error:  # one photo's own boundary: whatever it is, the others go on
        item.error = _unexpected(item, error)
    item.ms["fetch"] = _ms_since(item.started_s)
    return item


def _decode_one(item: Fetched, classifier: Classifier) -> Pixels | Outcome:
    """uint8 ``(2, H, W, 3)``: photo, thumbnail."""
    started_s = time.perf_counter()
    try:
        if item.error is not None:
            raise item.error
        pixels = np.stack(
            [
                decode(item.renditions[view], preprocessing_of(view, classifier.preprocessing))
                for view in Rendition
            ]
        )
    except CheckerError as error:
        return _failed(item, error)
    except MemoryError:
        return _failed(item, ClassifierFailed("There was not enough memory to decode the photo."))
    except Exception as error:  # as above
        return _failed(item, _unexpected(item, error))
    finally:
        item.renditions.clear()  # megabytes that are no longer needed
        item.ms["decode"] = _ms_since(started_s)
    return pixels


def _classify(
    items: Sequence[Fetched], pixels: Pixels, classifier: Classifier, rule: DecisionRule
) -> list[Outcome]:
    """``pixels``: ``(2 N, H, W, 3)``, photo and thumbnail of each item in turn."""
    started_s = time.perf_counter()
    try:
        activations = classifier.run(pixels)
    except ClassifierFailed as error:
        if len(items) == 1:
            return [_failed(items[0], error)]
        half = len(items) // 2
        logger.warning("%s; trying again with %d photos at a time", error, half)
        return [
            *_classify(items[:half], pixels[: 2 * half], classifier, rule),
            *_classify(items[half:], pixels[2 * half :], classifier, rule),
        ]
    except Exception as error:  # as above
        return [_failed(item, _unexpected(item, error)) for item in items]
    forward_ms = _ms_since(started_s)
    evidence = Evidence.of_pairs(activations)
    batch_size = activations.inputs_per_forward or len(pixels)
    outcomes = []
    for place, item in enumerate(items):
        item.ms["classify"] = forward_ms
        outcomes.append(_decided(item, evidence[place], batch_size, classifier, rule))
    return outcomes


def _decided(
    item: Fetched, evidence: Evidence, batch_size: int, classifier: Classifier, rule: DecisionRule
) -> Outcome:
    try:
        decision = rule.decide(evidence)
    except CheckerError as error:
        return _failed(item, error)
    except Exception as error:  # as above
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
        unreadable=isinstance(error, UnreadableImage),
        # A network that refuses says nothing about the photo, which waits for a better one.
        retryable=error.retryable or isinstance(error, ModelRefused),
        blames_machine=isinstance(error, StoreUnavailable | ClassifierFailed | ModelRefused),
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
