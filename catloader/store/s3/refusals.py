"""Distinguish the refusal of a single object, which counts against its photo, from a failing store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.errors import AnswerTooLarge, NoAnswer
from checker import errors as checker_errors

if TYPE_CHECKING:
    from catloader.store.s3.objects import ObjectStore

_TRIED = 2
"""Other objects that are tried in each bucket. While all are refused, each due photo costs these requests."""


def refuses_one(objects: ObjectStore, key: str, error: StoreUnavailable) -> bool:
    """Return True if the store, which raised ``error`` for the object ``key``, serves other objects.

    False: the store did not respond, or refuses all other objects that are tried. A listing is not
    sufficient, because servers list objects that they can't read.
    """
    if isinstance(error, AnswerTooLarge):
        return True  # the others that are tried may be too large as well
    if isinstance(error, NoAnswer):
        return False
    try:
        return any(_gives_any(objects, kind, key) for kind in (ObjectKind.PHOTO, ObjectKind.THUMBNAIL))
    except StoreUnavailable:  # including a missing right to list
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
    except AnswerTooLarge:
        return True
    except (NotFound, StoreUnavailable):
        return False
    return True


@contextmanager
def for_checker(objects: ObjectStore, key: str, what: str) -> Iterator[None]:
    """Translate the errors of the block, which reads the object ``key``, for the checker.

    Args:
        what: "photo" or "thumbnail", for messages.

    Raises:
        checker.errors.ObjectMissing: the store does not have the object.
        checker.errors.ObjectRefused: the store refuses this object but serves others.
        StoreUnavailable: the store does not answer, or refuses other objects as well.
    """
    try:
        yield
    except NotFound as error:
        raise checker_errors.ObjectMissing(f"The {what} is not in the store.") from error
    except StoreUnavailable as error:
        if refuses_one(objects, key, error):
            raise checker_errors.ObjectRefused(f"{str(error).rstrip('.')}, and gives others.") from error
        raise
