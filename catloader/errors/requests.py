"""Errors that any kind of request can cause."""

from __future__ import annotations

from catloader.errors.base import CatLoaderError


class FormRefused(CatLoaderError):
    """A form has no valid token, or comes from another site. Nothing was changed."""

    status = 400

    def __init__(self, message: str, *, expired: bool, **values: object) -> None:
        super().__init__(message, **values)
        self.expired = expired
        """True: the same request with a fresh token may succeed."""


class UnknownHost(CatLoaderError):
    """The request is for a host name that is not this site's."""

    status = 400


class WrongContentType(CatLoaderError):
    """The body of a program's request has a type that the address does not accept."""

    status = 415

    def __init__(self, *accepted: str) -> None:
        super().__init__(f"The header Content-Type must be {' or '.join(accepted)}.")


class CompressedBody(CatLoaderError):
    """The body of a program's request is compressed."""

    status = 415


class ExportBusy(CatLoaderError):
    """Another export is being sent; one at a time, so that request threads stay free."""

    status = 503
    retry_after_s = 60
