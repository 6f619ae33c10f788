"""The history of a photo: attempts of the checker, acts of the owner, decisions of reviewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catloader.store.db.check_log import CheckRecord
from catloader.store.db.replacements import Replacement
from catloader.store.db.reviews import Appeal, Review


@dataclass(frozen=True, slots=True)
class Event:
    moment: datetime
    sentence: str
    text: str = ""
    """A person's own words, or the error of an attempt."""


def history(
    records: Sequence[CheckRecord],
    appeals: Sequence[Appeal],
    reviews: Sequence[Review],
    replacements: Sequence[Replacement],
    noun: str,
) -> list[Event]:
    """Return the events of a photo, newest first."""
    shows = {"cat": f"a {noun}", "not_cat": f"no {noun}"}
    events = [_attempt(record, noun) for record in records]
    for appeal in appeals:
        events.append(
            Event(appeal.opened_at, f"You asked for a review: it shows {shows[appeal.wish]}.", appeal.reason)
        )
        if appeal.closed_at and not any(review.appeal_id == appeal.id for review in reviews):
            events.append(Event(appeal.closed_at, "Your request was withdrawn."))
    for review in reviews:
        said = f"it shows {shows[review.verdict]}" if review.verdict else "the decision before was undone"
        events.append(Event(review.made_at, f"A reviewer: {said}.", review.note))
    events += [Event(one.made_at, "You replaced the photo by another file.") for one in replacements]
    return sorted(events, key=lambda event: event.moment, reverse=True)


def _attempt(record: CheckRecord, noun: str) -> Event:
    if record.verdict is None or record.score is None:
        return Event(record.finished_at, "The check failed.", record.error or "")
    names = {"cat": noun, "not_cat": f"no {noun}", "unsure": "not sure", "unreadable": "unreadable"}
    verdict = names.get(record.verdict, record.verdict)
    return Event(record.finished_at, f"Checked by {record.model}: {verdict}, score {record.score:.3f}.")
