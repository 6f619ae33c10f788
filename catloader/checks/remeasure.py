"""Measure thresholds again, on stored scores and all decisions of people; find verdicts that would change."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from catloader.errors import StartupError, StoreUnavailable
from catloader.settings import Settings
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.engine import utcnow
from checker.decision.operating_point import ThresholdRule
from checker.decision.profile import Profile, profile_from_json
from checker.errors import CheckerError
from checker.evaluation.decided import TooFewDecisions, remeasured
from checker.values import Reason
from models.catalogue import class_names

logger = logging.getLogger(__name__)

MOST_PHOTOS = 5000
"""Maximum number of listed photos whose verdict would change: 300 kB."""

_RETRY_FOR_S, _RETRY_S = 5.0, 0.5


def start(store: MeasuredProfiles, id: int, base: Profile, settings: Settings) -> threading.Thread:
    """Run the job in a daemon thread."""
    thread = threading.Thread(target=_run, args=(store, id, base, settings), name="remeasure", daemon=True)
    thread.start()
    return thread


def measure(store: MeasuredProfiles, id: int, base: Profile, settings: Settings) -> None:
    """Measure, compare with the verdicts of all photos, and write the result.

    Raises:
        TooFewDecisions: the text says how many decisions are needed.
    """
    ids = store.ids_with_head_of(base.profile_id)
    sharp = _sharp_thresholds(store, base, ids)
    people = store.decided_by_people(ids)
    decided = [row for row in people if row.cat_at in sharp and row.reason != Reason.DRAWN]
    profile = remeasured(
        base,
        np.array([row.score for row in decided], dtype=np.float64),
        np.array([row.human_verdict == "cat" for row in decided], dtype=bool),
        max_fpr=settings.max_false_positive_rate,
        max_fnr=settings.max_false_negative_rate,
        now=utcnow(),
    )
    rule = ThresholdRule(
        profile.key.subject,
        class_names(),
        profile=profile,
        max_fpr=settings.max_false_positive_rate,
        max_fnr=settings.max_false_negative_rate,
    )
    flips: Counter[str] = Counter()
    changed: list[tuple[int, str, str, float]] = []
    total, pages = store.decided_by_model(ids)
    done = 0
    for page in pages:
        for row in page:
            verdict = _verdict(rule, row, soft=row.cat_at not in sharp)
            if verdict != row.status:
                flips[f"{row.status} -> {verdict}"] += 1
                if len(changed) < MOST_PHOTOS:
                    changed.append((row.id, row.status, verdict, row.score))
        done += len(page)
        store.write(id, utcnow(), done=done, total=total)
    result = {"profile_id": profile.profile_id, "profile": profile.to_json()}
    store.write(id, utcnow(), done=done, total=done, flips=dict(flips), photos=changed, **result)


def _sharp_thresholds(store: MeasuredProfiles, base: Profile, ids: Sequence[str]) -> set[float]:
    """Return every ``cat_at`` for sharp photos in these profiles; soft photos have another threshold."""
    rows = [store.by_profile_id(id) for id in ids[1:]]
    others = [profile_from_json(row.profile) for row in rows if row and row.profile]
    return {point.threshold for profile in (base, *others) for point in profile.cat}


def _verdict(rule: ThresholdRule, row: Any, *, soft: bool) -> str:
    """Return the verdict of the rule on a logged score."""
    labels: Mapping[str, Sequence[Any]] = row.labels or {}
    classes = {label[0] for of_rendition in labels.values() for label in of_rendition}
    drawn, wild = row.reason == Reason.DRAWN, bool(row.wild_feline)
    return str(rule.verdict(row.score, soft=soft, drawn=drawn, wild=wild, named=classes)[0])


def _run(store: MeasuredProfiles, id: int, base: Profile, settings: Settings) -> None:
    try:
        measure(store, id, base, settings)
    except TooFewDecisions as error:
        _write_reason(store, id, str(error), missing=error.numbers)
    except (CheckerError, StartupError) as error:
        _write_reason(store, id, str(error))
    except Exception:  # the top of a thread
        logger.exception("the thresholds could not be measured")
        _write_reason(store, id, "The measurement failed; the log of the site says why.")


def _write_reason(store: MeasuredProfiles, id: int, reason: str, **values: Any) -> None:
    """Write why the job failed; an unavailable database, often the reason itself, gets some seconds."""
    deadline_s = time.monotonic() + _RETRY_FOR_S
    while True:
        try:
            return store.write(id, utcnow(), error=reason, **values)
        except StoreUnavailable:
            if time.monotonic() > deadline_s:
                logger.error("the thresholds could not be measured, which the page can't say: %s", reason)
                return None
        time.sleep(_RETRY_S)
