"""Detection of checkers that are not running, to tell users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.web.http.context import services

_PATIENCE = timedelta(minutes=1)


def checker_is_away(photos: Sequence[Photo]) -> bool:
    """Return True if one of ``photos`` has been due for a minute without any activity of a checker."""
    now = utcnow()
    then = now - _PATIENCE
    if not any(photo.status == "pending" and photo.next_attempt_at < then for photo in photos):
        return False
    return not services().activity.seen_since(then, now)
