"""What can go wrong for a person or an operator; each leaf knows its HTTP status."""

from __future__ import annotations

from checker import errors as checker_errors


class CatLoaderError(Exception):
    """The root. ``str(error)`` is one plain sentence that may be shown to a person."""

    status = 500
    retry_after_s: int | None = None
    """Nothing is wrong, and in so many seconds the same request may do."""


class StartupError(CatLoaderError):
    """The site can't start: a port in use, a broken data folder, a full disk. One line, exit 1."""


class SettingError(StartupError):
    """An environment variable has a value that makes no sense."""


class StoreUnavailable(CatLoaderError, checker_errors.StoreUnavailable):
    """The object store or the database did not answer; the text names address and reason, for operators.

    The checker's error as well: translated once, at the edge of the store, for both.
    """

    status = 503


class StoreFull(CatLoaderError):
    """The disk is nearly full; what is left keeps the site alive."""

    status = 507


class BadImage(CatLoaderError):
    """The upload is refused."""

    status = 400


class NotAnImage(BadImage):
    """The bytes are no picture of a format we take."""

    status = 415


class BrokenImage(BadImage):
    """A picture, but truncated or corrupt."""

    status = 422


class EmptyFile(BadImage):
    """Zero bytes."""


class TooManyBytes(BadImage):
    """The file is above the limit."""

    status = 413


class TooManyPixels(BadImage):
    """The picture is above the limit of pixels; seen in its header, before decoding."""

    status = 413


class TooManyFiles(CatLoaderError):
    """More files than one request may bring; those within the limit are taken."""

    status = 413


class InvalidInput(CatLoaderError):
    """A form field does not hold what it should."""

    status = 400


class EmailTaken(InvalidInput):
    """Somebody registered this e-mail already."""

    status = 409


class WrongCredentials(CatLoaderError):
    """Unknown e-mail or wrong password: one and the same answer."""

    status = 401


class NotFound(CatLoaderError):
    """No such thing, or not yours to see."""

    status = 404


class CannotExplain(CatLoaderError):
    """The network, or what was measured for it, that judged the photo is not here any more."""

    status = 409


class ExplainerBusy(CatLoaderError):
    """Another photo is being explained."""

    status = 503
    retry_after_s = 3


class ExplanationFailed(CatLoaderError):
    """The child process gave no picture, or not in time."""
