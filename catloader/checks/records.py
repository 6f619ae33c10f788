"""Going over what was checked: are the decisions still what they were, would another network's differ?

Each photo takes the way of every check, ``checker.pipeline``, alone: its numbers don't depend on the company
it had. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from catloader.store.db.check_log import CheckLog, Logged, ReplayKey
from catloader.store.db.photos import DecidedPhoto, Photos
from checker.decision.operating_point import ThresholdRule, Thresholds
from checker.errors import CheckerError
from checker.pipeline import LoadedModel, check_batch, classify, fetch
from checker.ports import Classifier, ImageSource
from checker.testing import InMemoryImageSource
from checker.values import Claim, Decision, Outcome, Verdict

CPU_TOLERANCE = 1e-5
"""Of a score. The same processor gives the same bits; another one adds up in another order (1e-6)."""
GPU_TOLERANCE = 0.02
"""Where the profile names no ``score_tolerance``: a GPU's numbers depend on the batch."""

_RANK = {Verdict.NOT_CAT: 0, Verdict.UNSURE: 1, Verdict.CAT: 2}

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Replayed:
    logged: Logged
    difference: str | None
    """How it differs from the log; None: not at all."""
    within_tolerance: bool = False
    """A GPU's score moved no more than it may, and lay so near a threshold that the verdict went over."""


@dataclass(frozen=True, slots=True)
class Compared:
    photo: DecidedPhoto
    current: Decision
    candidate: Decision

    @property
    def flips(self) -> bool:
        return self.current.verdict is not self.candidate.verdict

    @property
    def towards_cat(self) -> bool:
        return _RANK[self.candidate.verdict] > _RANK[self.current.verdict]


def replay_key(classifier: Classifier, rule: ThresholdRule) -> ReplayKey:
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
    """Every decision that this network and profile made, taken again with the thresholds of its day.

    Raises:
        CheckerError: store or network can't be used just now.
    """
    pages = log.verdicts(replay_key(classifier, rule), since, sample)

    def again(logged: Logged) -> Replayed:
        return _again(logged, source, classifier, rule)

    for replayed in _each(pages, again, workers):
        # A photo deleted meanwhile takes its pictures and its log with it.
        if replayed.difference is None or log.has(replayed.logged.record.id):
            yield replayed


def shadow(
    photos: Photos,
    source: ImageSource,
    current: LoadedModel,
    candidate: LoadedModel,
    *,
    sample: int | None = None,
    workers: int = 1,
) -> Iterator[Compared | None]:
    """Both networks' decisions on photos with a verdict; None for one that can't be read any more.

    Raises:
        CheckerError: store or network can't be used just now.
    """

    def both(photo: DecidedPhoto) -> Compared | None:
        claim = _claim(photo.photo_id, photo)
        fetched = fetch([claim], source)
        same_bytes = InMemoryImageSource()
        same_bytes.put(claim, fetched[0].renditions)
        first = _usable(classify(fetched, *current)[0]).decision
        if first is None:
            return None
        second = _usable(check_batch([claim], same_bytes, *candidate)[0]).decision
        return None if second is None else Compared(photo, first, second)

    return _each(photos.decided(sample), both, workers)


def _again(logged: Logged, source: ImageSource, classifier: Classifier, rule: ThresholdRule) -> Replayed:
    record = logged.record
    if record.cat_at is not None and record.not_cat_below is not None:
        rule = rule.with_thresholds(Thresholds(record.cat_at, record.not_cat_below))
    outcome = _usable(check_batch([_claim(record.photo_id, logged)], source, classifier, rule)[0])
    for view, was, now in (
        ("photo", record.photo_sha256, outcome.photo_sha256),
        ("thumbnail", record.thumbnail_sha256, outcome.thumbnail_sha256),
    ):
        if now is not None and was is not None and now != was:
            return Replayed(logged, f"the {view} in the store is not the one that was checked")
    if outcome.unreadable:
        same = record.verdict == Verdict.UNREADABLE
        return Replayed(logged, None if same else f"{record.verdict} was logged, now it is unreadable")
    if outcome.decision is None:
        return Replayed(logged, f"no verdict now: {outcome.error}")
    return _judged(logged, outcome.decision, classifier, rule)


def _judged(logged: Logged, decision: Decision, classifier: Classifier, rule: ThresholdRule) -> Replayed:
    record = logged.record
    if record.score is None:
        return Replayed(logged, f"{record.verdict} was logged, now it is {decision.verdict}")
    on_cpu = record.device == classifier.model_info.device == "cpu"
    golden = rule.profile.golden if rule.profile else {}
    tolerance = CPU_TOLERANCE if on_cpu else float(golden.get("score_tolerance", GPU_TOLERANCE))
    near = abs(decision.score - record.score) <= tolerance
    same = (decision.verdict, decision.wild_feline) == (record.verdict, record.wild_feline)
    if near and same:
        return Replayed(logged, None)
    was, now = record.versions or {}, classifier.model_info.versions
    versions = ", ".join(
        f"{library} {was.get(library, 'absent')} then, {now.get(library, 'absent')} now"
        for library in dict.fromkeys((*was, *now))
        if was.get(library) != now.get(library)
    )
    return Replayed(
        logged,
        f"{_said(str(record.verdict), record.score, record.wild_feline)} was logged, now it is "
        f"{_said(decision.verdict, decision.score, decision.wild_feline)}"
        + (f" ({versions})" if versions else ""),
        within_tolerance=near and not on_cpu,
    )


def _said(verdict: str, score: float, wild: bool | None) -> str:
    return f"{verdict} {score:.6f}" + (" wild" if wild else "")


def _claim(photo_id: int, where: Logged | DecidedPhoto) -> Claim:
    return Claim(photo_id, "", where.photo_key, where.thumbnail_key, attempt=1)


def _usable(outcome: Outcome) -> Outcome:
    """Raises CheckerError where the machine failed: the next photo would fare no better."""
    if outcome.blames_machine:
        raise CheckerError(outcome.error)
    return outcome


def _each(pages: Iterable[Sequence[Item]], do: Callable[[Item], Result], workers: int) -> Iterator[Result]:
    """In their order, a page in hand at a time."""
    with ThreadPoolExecutor(workers, thread_name_prefix="replay") as pool:
        for page in pages:
            yield from pool.map(do, page)
