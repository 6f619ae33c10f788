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
    """The image file is truncated or corrupt."""

    status = 422


class EmptyFile(BadImage):
    """The file has no bytes."""


class TooManyBytes(BadImage):
    """The file is larger than the limit."""

    status = 413


class TooManyPixels(BadImage):
    """The photo has more pixels than the limit, according to the file's header, before it is decoded."""

    status = 413


class TooManyFiles(CatLoaderError):
    """The request has more files than the limit; only the files after the limit are refused."""

    status = 413


class QuotaReached(CatLoaderError):
    """The account has reached its limit of photos or bytes."""

    status = 413


class UploadsBusy(CatLoaderError):
    """All places for uploads that are being decoded or wait for a decoder are taken."""

    status = 503
    retry_after_s: int = 5
    """If many clients upload at once, each gets a longer, random time."""


class OffsetMismatch(CatLoaderError):
    """The bytes do not continue the partial upload: the client must request the current offset."""

    status = 409


class UploadLocked(CatLoaderError):
    """Another request is using the same partial upload."""

    status = 423
    retry_after_s = 1


class DecodersAway(CatLoaderError):
    """No decoding process could be started."""

    status = 503
    retry_after_s = 5


class KeyReused(CatLoaderError):
    """The same ``Idempotency-Key`` was used before with other bytes."""

    status = 422


class KeyInUse(CatLoaderError):
    """An upload with the same ``Idempotency-Key`` was stored meanwhile; a retry finds its photo."""

    status = 409
    retry_after_s = 1
