"""Distinguish the refusal of one object, for which the photo is blamed, from a failing store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.errors import NoAnswer
from checker import errors as checker_errors

if TYPE_CHECKING:
    from catloader.store.s3.objects import ObjectStore

_TRIED = 2
"""Other objects tried in each bucket: while all are refused, each due photo costs this many requests."""


def refuses_one(objects: ObjectStore, key: str, error: StoreUnavailable) -> bool:
    """Return True if the store, which gave ``error`` for the object ``key``, serves others.

    False: it gave no answer, or refuses all others that are tried. A listing is not sufficient: servers list
        objects that they can't read.
    """
    if isinstance(error, NoAnswer):
        return False
    try:
        return any(_gives_any(objects, kind, key) for kind in (ObjectKind.PHOTO, ObjectKind.THUMBNAIL))
    except StoreUnavailable:  # also if this site has no right to list
        return False


def _gives_any(objects: ObjectStore, kind: ObjectKind, key: str) -> bool:
    listed = next(objects.pages(objects.bucket_of(kind)))
    others = [entry.key for entry in listed if entry.key != key]
    return any(_gives(objects, kind, other) for other in random.sample(others, min(_TRIED, len(others))))


def _gives(objects: ObjectStore, kind: ObjectKind, key: str) -> bool:
    try:
        chunks, _ = objects.open(kind, key)
        with closing(chunks):
            next(chunks, None)
    except NoAnswer:
        raise
    except (NotFound, StoreUnavailable):
        return False
    return True


@contextmanager
def for_checker(objects: ObjectStore, key: str, what: str) -> Iterator[None]:
    """Read the object ``key`` inside; ``what`` it is, for messages.

    Raises:
        checker.errors.ObjectMissing: the store has none.
        checker.errors.ObjectRefused: it refuses this one but serves others.
        StoreUnavailable: it does not answer, or refuses others as well.
    """
    try:
        yield
    except NotFound as error:
        raise checker_errors.ObjectMissing(f"The {what} is not in the store.") from error
    except StoreUnavailable as error:
        if refuses_one(objects, key, error):
            raise checker_errors.ObjectRefused(f"{str(error).rstrip('.')}, and gives others.") from error
        raise
