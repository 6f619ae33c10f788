"""The photo in a request: the whole body, or the only file of a form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from flask import request

from catloader.errors import InvalidInput, WrongContentType
from catloader.web.http.context import services
from checker.files import read_at_most

View = TypeVar("View", bound=Callable[..., Any])


def takes_photo(view: View) -> View:
    """Mark a view whose request body is a photo: it accepts large bodies, and takes an upload place."""
    view.takes_photo = True  # type: ignore[attr-defined]
    return view


def sent_photo() -> tuple[str, bytes]:
    """Return the name and the bytes of the photo, at most ``max_file_bytes`` + 1 of them.

    Raises:
        InvalidInput: the form has no file, or several.
        WrongContentType: the content type is not accepted, such as that of a form without files, which
            `curl --data-binary` sends by default.
    """
    limit = services().settings.max_file_bytes + 1
    if request.mimetype == "multipart/form-data":
        files = [file for _, file in request.files.items(multi=True)]
        if len(files) != 1:
            raise InvalidInput(f"Send one photo in each request; this one has {len(files)} files.")
        return files[0].filename or "photo", read_at_most(files[0].stream, limit)
    if request.mimetype == "application/octet-stream" or request.mimetype.startswith("image/"):
        return "photo", read_at_most(request.stream, limit)
    raise WrongContentType("image/*", "application/octet-stream", "multipart/form-data")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
