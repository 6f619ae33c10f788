"""The work on a micro-batch, the same in every engine: ``prepare`` (steps 6 and 7), then ``judge`` (8 and 9).

The functions are separate because photos are fetched and decoded before their unit may be classified.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catloader.bulk.kept.keeper import Contents, Keeper, Recorder
from catloader.bulk.manifest import PlannedPhoto
from catloader.checks.past_photos import claim_on, without_machine_failure
from catloader.store.db.checks.queue_sql import log_row
from checker.errors import CheckerError, DecodingFailed, StoreUnavailable
from checker.pipeline import Fetched, LoadedModel, classify, fetch
from checker.ports import Decoder, ImageSource
from checker.values import Outcome, Pixels, Rendition
from models.catalogue import Preprocessing

_TRIES = 2
"""A photo whose decoding failed is tried once more, alone: a busy machine may have been the cause."""


@dataclass(slots=True)
class Prepared:
    """Photos on their way to the model."""

    fetched: list[Fetched]
    """The photos, without the bytes of their files."""
    pixels: list[Pixels | CheckerError]
    """Pixels of the photos that could be fetched, in order."""
    contents: list[Contents | None]
    """The kept facts of the files of the same photos; None except in a plan of labelled photos."""


def prepare(
    photos: Sequence[PlannedPhoto],
    source: ImageSource,
    decode: Decoder,
    preprocessing: Preprocessing,
    keeper: Keeper | None = None,
) -> Prepared:
    """Fetch and decode photos.

    Raises:
        CheckerError: the store or the decoders failed, not because of the photos.
    """
    fetched = fetch([claim_on(photo) for photo in photos], source)
    for item in fetched:
        if isinstance(item.error, StoreUnavailable):
            raise item.error
    complete = [item for item in fetched if item.error is None]
    pixels = list(decode([dict(item.renditions) for item in complete], preprocessing))
    for _ in range(_TRIES - 1):
        for index, item in enumerate(complete):
            if isinstance(pixels[index], DecodingFailed):
                (pixels[index],) = decode([dict(item.renditions)], preprocessing)
    contents: list[Contents | None] = [None] * len(complete)
    for index, item in enumerate(complete):
        if keeper is not None and not isinstance(pixels[index], CheckerError):
            try:
                contents[index] = keeper.contents(item.renditions)
            except DecodingFailed as error:
                pixels[index] = error
        item.renditions.clear()
    return Prepared(fetched, pixels, contents)


def judge(
    prepared: Prepared, model: LoadedModel, photos: Sequence[PlannedPhoto], keeper: Keeper | None = None
) -> list[dict[str, Any]]:
    """Classify a prepared micro-batch; return a row of results for each photo, in their order.

    With a keeper each row also has the photo's ``labelled`` and ``kept``.

    Raises:
        CheckerError: the model or its device failed.
    """

    def decoded(
        photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        del photos, preprocessing
        return iter(prepared.pixels)

    if keeper is None:
        outcomes = classify(prepared.fetched, *model, decoded)
        return [_row(*pair) for pair in zip(outcomes, photos, strict=True)]
    recorder = Recorder(model.rule)
    outcomes = classify(prepared.fetched, model.classifier, recorder, decoded)
    evidence = iter(recorder.evidence)
    inputs = iter(zip(prepared.pixels, prepared.contents, strict=True))
    rows = []
    for outcome, photo, item in zip(outcomes, photos, prepared.fetched, strict=True):
        row = _row(outcome, photo) | {"labelled": photo.labelled, "kept": None}
        pixels, contents = next(inputs) if item.error is None else (None, None)
        if outcome.decision and contents and photo.labelled and not isinstance(pixels, CheckerError | None):
            row["kept"] = keeper.keep(photo.labelled.row, contents, pixels, next(evidence))
        rows.append(row)
    return rows


def _row(outcome: Outcome, photo: PlannedPhoto) -> dict[str, Any]:
    log = log_row(without_machine_failure(outcome))
    return {
        "photo_id": photo.photo_id,
        "key": photo.photo_key,
        "sha256": photo.photo_sha256,
        "old_status": photo.status,
        "old_score": photo.score,
        "old_checked_at": photo.checked_at,
        "verdict": log["verdict"],
        "score": log["score"],
        "error": outcome.error,
        "log": json.dumps(log),
    }
