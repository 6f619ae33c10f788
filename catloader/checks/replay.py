"""Replay: repeat logged decisions, and report those with another result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from catloader.checks.past_photos import map_pages, without_machine_failure
from catloader.store.db.checks.check_log import CheckLog, CheckRecord, Logged, ReplayKey
from checker.decision.operating_point import ThresholdRule, Thresholds
from checker.decision.orientation import VERSION
from checker.pipeline import check_batch
from checker.ports import Classifier, ImageSource
from checker.values import Claim, Decision, ModelInfo, Outcome, Verdict

CPU_TOLERANCE = 1e-5
"""Tolerance of a score. The same processor gives the same bits; other processors sum in another order, which
changes a score by about 1e-6."""
GPU_TOLERANCE = 0.02
"""Tolerance of a score if the profile has no ``score_tolerance``: results on a GPU depend on the batch."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One logged decision and the result of its replay."""

    logged: Logged
    difference: str | None
    """Description of the difference; None: the decision is the same."""
    within_tolerance: bool = False
    """The score differs within the tolerance of a GPU, but is now on the other side of a threshold."""


def replay_key(classifier: Classifier, rule: ThresholdRule) -> ReplayKey:
    """Return the key of the decisions that this classifier and rule can replay."""
    model_info = classifier.model_info
    return ReplayKey(
        model_info.weights_sha256,
        model_info.runtime,
        model_info.precision,
        rule.profile_id,
        rule.subject.name,
    )


def replay(
    log: CheckLog,
    source: ImageSource,
    classifier: Classifier,
    rule: ThresholdRule,
    *,
    since: datetime | None = None,
    sample: int | None = None,
    workers: int = 1,
) -> Iterator[Replayed]:
    """Replay the decisions of this model and profile, each with the thresholds of its time.

    Args:
        since: only decisions since this time.
        sample: number of decisions to draw at random; None: all.

    Raises:
        CheckerError: store, model or device failed.
    """

    def replay_one(logged: Logged) -> Replayed:
        return _replay_one(logged, source, classifier, rule)

    pages = log.verdicts(replay_key(classifier, rule), since, sample)
    for replayed in map_pages(pages, replay_one, workers):
        # A photo that was deleted, replaced or cropped meanwhile no longer has the objects of this record.
        if replayed.difference is None or log.is_of_present_objects(replayed.logged.record.id):
            yield replayed


def _replay_one(logged: Logged, source: ImageSource, classifier: Classifier, rule: ThresholdRule) -> Replayed:
    record = logged.record
    if record.cat_at is not None and record.not_cat_below is not None:
        # The record has the threshold that applied to this photo, soft or not.
        thresholds = Thresholds(record.cat_at, record.not_cat_below, soft_cat_at=record.cat_at)
        rule = rule.with_thresholds(thresholds)
    if record.turned_deg is None:
        classifier = AsPhotosLie(classifier)
    claim = Claim(record.photo_id, "", logged.photo_key, logged.thumbnail_key, attempt=1)
    outcome = without_machine_failure(check_batch([claim], source, classifier, rule)[0])
    if (rendition := _replaced_rendition(record, outcome)) is not None:
        return Replayed(logged, f"the {rendition} in the store is not the one that was checked")
    if outcome.unreadable:
        same = record.verdict == Verdict.UNREADABLE
        return Replayed(logged, None if same else f"{record.verdict} was logged, now it is unreadable")
    if outcome.decision is None:
        return Replayed(logged, f"no verdict now: {outcome.error}")
    if record.score is None:
        return Replayed(logged, f"{record.verdict} was logged, now it is {outcome.decision.verdict}")
    return _compare(logged, record.score, outcome.decision, classifier.model_info, rule)


class AsPhotosLie:
    """The classifier of an earlier version, which judged turned photos as they lay."""

    def __init__(self, classifier: Classifier) -> None:
        info = classifier.model_info
        versions = {name: version for name, version in info.versions.items() if name != VERSION}
        self.model_info = replace(info, versions=versions)
        self.preprocessing = classifier.preprocessing
        self.run, self.close = classifier.run, classifier.close


def _replaced_rendition(record: CheckRecord, outcome: Outcome) -> str | None:
    for rendition, logged_sha256, sha256 in (
        ("photo", record.photo_sha256, outcome.photo_sha256),
        ("thumbnail", record.thumbnail_sha256, outcome.thumbnail_sha256),
    ):
        if sha256 is not None and logged_sha256 is not None and sha256 != logged_sha256:
            return rendition
    return None


def _compare(
    logged: Logged, logged_score: float, decision: Decision, model_info: ModelInfo, rule: ThresholdRule
) -> Replayed:
    record = logged.record
    on_cpu = record.device == model_info.device == "cpu"
    golden = rule.profile.golden if rule.profile else {}
    tolerance = CPU_TOLERANCE if on_cpu else float(golden.get("score_tolerance", GPU_TOLERANCE))
    near = abs(decision.score - logged_score) <= tolerance
    if not on_cpu and record.turned_deg not in (None, decision.turned_deg):
        near = True  # near a limit, the noise of a GPU decides if a photo is rotated
    if near and (decision.verdict, decision.wild_feline) == (record.verdict, record.wild_feline):
        return Replayed(logged, None)
    before = _in_words(str(record.verdict), logged_score, record.wild_feline, record.turned_deg)
    after = _in_words(decision.verdict, decision.score, decision.wild_feline, decision.turned_deg)
    versions = _changed_versions(record, model_info)
    difference = f"{before} was logged, now it is {after}" + (f" ({versions})" if versions else "")
    return Replayed(logged, difference, within_tolerance=near and not on_cpu)


def _changed_versions(record: CheckRecord, model_info: ModelInfo) -> str:
    before, after = record.versions or {}, model_info.versions
    return ", ".join(
        f"{library} {before.get(library, 'absent')} then, {after.get(library, 'absent')} now"
        for library in dict.fromkeys((*before, *after))
        if before.get(library) != after.get(library)
    )


def _in_words(verdict: str, score: float, wild: bool | None, turned_deg: int | None) -> str:
    words = f"{verdict} {score:.6f}" + (" wild" if wild else "")
    return words + (f" rotated by {turned_deg} degrees" if turned_deg else "")
