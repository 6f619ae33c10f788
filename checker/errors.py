"""The errors of a check; each states whether a later attempt on the same photo may succeed."""

from __future__ import annotations


class CheckerError(Exception):
    """Base class. ``retryable``: a later attempt on the same photo may succeed."""

    retryable = False


class StoreUnavailable(CheckerError):
    """The object store or the database does not answer."""

    retryable = True


class ObjectMissing(CheckerError):
    """The object store answers and has no such object."""

    retryable = True


class ObjectRefused(CheckerError):
    """The object store refuses this object but serves others."""

    retryable = True


class ObjectAltered(CheckerError):
    """The object store returns other bytes than were stored: no verdict is based on them.

    Retryable, since a proxy in between may be the cause; after the last attempt the photo is marked as
    failed.
    """

    retryable = True


class UnreadableImage(CheckerError):
    """The bytes can't be decoded as a photo: final."""


class FileUnavailable(UnreadableImage):
    """A file is missing, or its permissions, its disk or the machine prevent that it is read.

    ``__cause__`` is the ``OSError``.
    """


class TakesTooLong(UnreadableImage):
    """Decoding the file would keep a processor busy; no ordinary encoder writes such a file."""


class ClassifierFailed(CheckerError):
    """The model or its device failed (out of memory, a lost GPU); the photo may be fine."""

    retryable = True


class ModelRefused(CheckerError):
    """The weights, the profile or the self-test failed: nothing is checked until that is fixed."""


class NotReady(CheckerError):
    """The model is being loaded."""

    retryable = True


class Unexpected(CheckerError):
    """A bug in the checker that one photo triggered; logged with its traceback."""

    retryable = True


class DecodingFailed(CheckerError):
    """A photo crashed the process that decodes it, or exceeded its limits.

    Retryable, since a busy machine may be the cause; after the last attempt the photo is marked as
    unreadable.
    """

    retryable = True


class DecodingTooSlow(DecodingFailed):
    """Decoding the photo used up its processor time or passed its deadline."""


class DecodingTooLarge(DecodingFailed):
    """Decoding the photo used up its memory."""


class DecoderUnavailable(CheckerError):
    """No decoding process could be started; the photo may be fine."""

    retryable = True
