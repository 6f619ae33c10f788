"""The history of a photo: attempts to check it, actions of its owner, decisions of reviewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catloader.errors.stores import check_error_for_owners
from catloader.store.db.checks.check_log import CheckRecord
from catloader.store.db.photos.replacements import Replacement
from catloader.store.db.staff.reviews import Appeal, Review
from catloader.web.check_errors import shown_check_error
from catloader.web.formats import shown_number
from catloader.web.languages import gettext
from catloader.web.photos.nouns import Noun


@dataclass(frozen=True, slots=True)
class Event:
    moment: datetime
    sentence: str
    text: str = ""
    """A reason or note that a person wrote, or the error of an attempt."""


def history(
    records: Sequence[CheckRecord],
    appeals: Sequence[Appeal],
    reviews: Sequence[Review],
    replacements: Sequence[Replacement],
    noun: Noun,
) -> list[Event]:
    """Return the events of a photo, newest first."""
    shows = {"cat": noun.a, "not_cat": noun.no}
    events = [_attempt(record, noun) for record in records]
    decided = {(review.appeal_id, review.made_at) for review in reviews if review.verdict}
    for appeal in appeals:
        request = gettext("You asked for a review: it shows %(a_thing)s.", a_thing=shows[appeal.wish])
        events.append(Event(appeal.opened_at, request, appeal.reason))
        # An appeal that a decision closed has the same time as the decision.
        if appeal.closed_at and (appeal.id, appeal.closed_at) not in decided:
            ended = gettext("Your request was withdrawn.")
            # A replacement of the file closes the appeal that is open at that time.
            if any(appeal.opened_at <= one.made_at <= appeal.closed_at for one in replacements):
                ended = gettext("Your request ended, because it was about the previous file.")
            events.append(Event(appeal.closed_at, ended))
    for review in reviews:
        if review.verdict:
            decision = gettext("A reviewer: it shows %(a_thing)s.", a_thing=shows[review.verdict])
        else:
            decision = gettext("A reviewer: the previous decision was undone.")
        events.append(Event(review.made_at, decision, review.note))
    replaced = gettext("You replaced the photo with another file.")
    events += [Event(replacement.made_at, replaced) for replacement in replacements]
    return sorted(events, key=lambda event: event.moment, reverse=True)


def _attempt(record: CheckRecord, noun: Noun) -> Event:
    if record.verdict is None or record.score is None:
        error = shown_check_error(check_error_for_owners(record.error)) if record.error else ""
        return Event(record.finished_at, gettext("The check failed."), error)
    names = {
        "cat": noun.one,
        "not_cat": noun.no_label,
        "unsure": gettext("not sure"),
        "unreadable": gettext("unreadable"),
    }
    sentence = gettext(
        "Checked by %(model)s: %(verdict)s, score %(score)s.",
        model=record.model,
        verdict=names.get(record.verdict, record.verdict),
        score=shown_number(record.score, 3),
    )
    return Event(record.finished_at, sentence)
