"""Errors of the database, the object store and the disk."""

from __future__ import annotations

import re

from catloader.errors.base import CatLoaderError
from checker import errors as checker_errors


class StoreUnavailable(CatLoaderError, checker_errors.StoreUnavailable):
    """The object store or the database did not answer; the text names address and reason, for operators.

    It is also the checker's error, so that the edge of the store translates errors once, for both packages.
    """

    status = 503
    retry_after_s = 5

    def __init__(self, text: str, *, cause: str = "") -> None:
        """
        Args:
            cause: a text that is the same for equal failures, by which the log is limited; required if
                ``text`` names an object.
        """
        super().__init__(text)
        self.cause = cause or text


class DatabaseUnusable(StoreUnavailable):
    """The database is damaged, or a right is missing; only the operator can change this."""


STORAGE_FAILED = "The storage of this site failed."
_NAMES_A_SERVER = re.compile(r"The (object store|server|database) ")


def check_error_for_owners(text: str) -> str:
    """Return the error of a check without the address of a server, which only operators may read."""
    return STORAGE_FAILED if _NAMES_A_SERVER.match(text) else text


class BackupRefused(CatLoaderError):
    """A backup can't be made or restored: the folder is not a backup, the disk is full, ..."""


class ObjectAltered(CatLoaderError):
    """The object store returned other bytes than were stored; the site does not send them."""

    status = 502


class StoreFull(CatLoaderError):
    """The disk is nearly full; the remaining space is reserved for the running site."""

    status = 507
