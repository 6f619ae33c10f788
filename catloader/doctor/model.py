"""The model: its digest, and the variant that checks here, with its self-test."""

from __future__ import annotations

from collections.abc import Iterator

from catloader.checks.promotion import models_in_force
from catloader.checks.runtime_request import runtime_request
from catloader.doctor.rows import EXPECTED, Row, examined
from catloader.settings import Settings
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.runtimes.selection.select import SelectedVariant, select_variant
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
    if digest.result == "ok":
        yield from _variant(settings, entry)


def _variant(settings: Settings, entry: Entry) -> Iterator[Row]:
    choice, refusals = None, []
    for candidate, path in models_in_force(settings):
        try:
            choice = select_variant(
                candidate, path, load_subject(settings.subject), runtime_request(settings)
            )
        except ModelRefused as error:
            refusals.append(f"{candidate.name} is refused: {error}")
            continue
        entry = candidate
        break
    if choice is None:
        yield Row("variant", "failed", " ".join(refusals))
        return
    yield Row("variant", "ok", _serving(entry, choice))
    reasons = " ".join(part for part in (*refusals, choice.why_not_faster) if part)
    yield Row("faster variants", "note" if reasons else "ok", reasons or "The fastest one checks.")


def _serving(entry: Entry, choice: SelectedVariant) -> str:
    info = choice.classifier.model_info
    choice.classifier.close()
    return f"{entry.name} checks with {info.runtime} {info.precision} on {info.device}; its self-test passed."
