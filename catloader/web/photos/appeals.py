"""The reasons why an owner can't ask a reviewer for another verdict."""

from __future__ import annotations

from catloader.languages import gettext_noop
from catloader.store.db.staff.decisions import HumanVerdict
from catloader.web.http.context import own_photo, services

_OPEN = gettext_noop("This photo is already waiting for a reviewer.")
_DECIDED = gettext_noop("A person has already decided about this photo.")
_UNCHECKED = gettext_noop("This photo is still waiting for a check, so a reviewer can't decide about it yet.")
_AGREED = gettext_noop("This photo already has this verdict.")
_CHANGED = gettext_noop("This photo changed just now. Please try again.")


def refusal_of_appeal(photo_id: int, wish: HumanVerdict) -> str:
    """Return an English sentence that says why an appeal has just been refused.

    Raises:
        NotFound: the photo was deleted meanwhile.
    """
    photo = own_photo(photo_id)
    if any(appeal.closed_at is None for appeal in services().reviews.appeals_of(photo_id)):
        return _OPEN
    if photo.human_verdict:
        return _DECIDED
    if photo.status in ("pending", "checking"):
        return _UNCHECKED
    return _AGREED if photo.status == wish else _CHANGED
