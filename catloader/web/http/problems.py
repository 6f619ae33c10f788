"""Errors under ``/api/``, and of other requests with an API token, as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from flask import jsonify, request
from werkzeug.wrappers import Response

from catloader.web.http import bearer

MIME_TYPE = "application/problem+json"

SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
}
"""Texts for the API in place of those that refer to pages."""


def is_wanted() -> bool:
    """Return True if errors of this request are problem details."""
    return f"{request.path}/".startswith("/api/") or bearer.scope_of_request() is not None


def problem(status: int, detail: str) -> Response:
    """Build the problem document; its type is the HTTP status alone (``about:blank``).

    Args:
        detail: one plain sentence.
    """
    title = HTTPStatus(status).phrase
    response = jsonify(type="about:blank", title=title, status=status, detail=detail)
    response.mimetype = MIME_TYPE
    return response
