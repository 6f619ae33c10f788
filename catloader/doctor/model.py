"""Rows for the model: its digest, and the variant that checks here, with its self-test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from catloader.checks.promotion import models_in_force
from catloader.checks.runtime_request import runtime_request
from catloader.doctor.rows import EXPECTED, Row, examined
from catloader.settings import Settings
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.runtimes.selection.select import SelectedVariant, select_model
from models.catalogue import Entry
from models.digest import verify


def rows(settings: Settings) -> Iterator[Row]:
    try:
        candidates = models_in_force(settings)
    except EXPECTED as error:
        yield Row("model", "failed", str(error))
        return
    entry, path = candidates[0]
    digest = examined("model", lambda: f"{entry.name} has the right digest, {verify(entry, path)[:16]}.")
    yield digest
    if digest.result == "ok" or len(candidates) > 1:
        yield from _variant(settings, candidates)


def _variant(settings: Settings, candidates: Sequence[tuple[Entry, Path]]) -> Iterator[Row]:
    try:
        choice = select_model(candidates, load_subject(settings.subject), runtime_request(settings))
    except ModelRefused as error:
        yield Row("variant", "failed", f"{candidates[-1][0].name} is refused: {error}")
        return
    yield Row("variant", "ok", _serving(choice))
    reasons = choice.why_not_faster
    yield Row("faster variants", "note" if reasons else "ok", reasons or "The fastest variant checks.")


def _serving(choice: SelectedVariant) -> str:
    info = choice.classifier.model_info
    choice.classifier.close()
    return f"{info.model} checks with {info.runtime} {info.precision} on {info.device}; its self-test passed."
