"""The note that tells owners why their photos wait: checking is paused, or no checker is running."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.web.http.context import services
from catloader.web.languages import gettext

_PATIENCE = timedelta(minutes=1)


def waiting_note(photos: Sequence[Photo]) -> str:
    """Return a sentence that says why photos wait; "" if none waits, or a checker will soon take them.

    No checker is running if a photo has been due for a minute and no checker has been active meanwhile.
    """
    pending = [photo for photo in photos if photo.status == "pending"]
    if not pending:
        return ""
    if services().switches.paused_at() is not None:
        return gettext("Checking is paused. Your photos will be checked when it is resumed.")
    now = utcnow()
    then = now - _PATIENCE
    is_due = any(photo.next_attempt_at < then for photo in pending)
    if is_due and not services().activity.seen_since(then, now):
        return gettext("The checker is not running. Your photos will be checked when it is back.")
    return ""
