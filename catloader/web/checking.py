"""The reason for which photos wait, to tell their owner: checking is paused, or no checker is running."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.web.http.context import services
from catloader.web.languages import gettext

_PATIENCE = timedelta(minutes=1)


def waiting_note(photos: Sequence[Photo]) -> str:
    """Return why one of ``photos`` waits, as a sentence; "" where none waits, or a checker will take it.

    A checker is not running if a photo has been due for a minute without any activity of one.
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
