"""Errors of an upload: a file that is refused, a site that is busy, a key that is used twice."""

from __future__ import annotations

from catloader.errors.base import CatLoaderError


class BadImage(CatLoaderError):
    """An uploaded file is refused."""

    status = 400


class NotAnImage(BadImage):
    """The bytes are not an image file of an accepted format."""

    status = 415


class BrokenImage(BadImage):
    """An image file that is truncated or corrupt."""

    status = 422


class EmptyFile(BadImage):
    """Zero bytes."""


class TooManyBytes(BadImage):
    """The file is above the limit."""

    status = 413


class TooManyPixels(BadImage):
    """The photo has more pixels than the limit; seen in the file's header, before decoding."""

    status = 413


class TooManyFiles(CatLoaderError):
    """The request has more files than the limit; those within it are accepted."""

    status = 413


class QuotaReached(CatLoaderError):
    """The account has reached its limit."""

    status = 413


class UploadsBusy(CatLoaderError):
    """All places for uploads that are decoded or wait for it are taken."""

    status = 503
    retry_after_s: int = 5
    """In a crowd, each client gets a longer, random time."""


class OffsetMismatch(CatLoaderError):
    """The bytes are not the next ones of the partial upload: the client must ask for the offset."""

    status = 409


class UploadLocked(CatLoaderError):
    """Another request works on the same partial upload."""

    status = 423
    retry_after_s = 1


class DecodersAway(CatLoaderError):
    """No decoding process could be started."""

    status = 503
    retry_after_s = 5


class KeyReused(CatLoaderError):
    """The same ``Idempotency-Key`` came with other bytes."""

    status = 422


class KeyInUse(CatLoaderError):
    """An upload with the same ``Idempotency-Key`` was stored in the meantime: the next request finds it."""

    status = 409
    retry_after_s = 1
