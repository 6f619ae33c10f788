"""What can go wrong while a photo is checked, and whether trying again may help."""

from __future__ import annotations


class CheckerError(Exception):
    """The root: ``retryable`` says whether the same photo may fare better later."""

    retryable = False


class StoreUnavailable(CheckerError):
    """The object store did not answer; the photo itself may be fine."""

    retryable = True


class ObjectMissing(CheckerError):
    """The store answered and has no such object."""

    retryable = True


class UnreadableImage(CheckerError):
    """The bytes are not a picture that can be decoded: no later attempt will change that."""


class ClassifierFailed(CheckerError):
    """The network or its device failed (out of memory, a lost GPU); the photo may be fine."""

    retryable = True


class ModelRefused(CheckerError):
    """The weights, the profile or the self-test do not hold: nothing is served, photos wait."""


class Unexpected(CheckerError):
    """A fault of ours that one photo brought out; logged with its traceback."""

    retryable = True
