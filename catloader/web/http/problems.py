"""Problem details (RFC 9457): the errors under ``/api/`` and of other requests with an API token."""

from __future__ import annotations

from http import HTTPStatus

from flask import jsonify, request
from werkzeug.wrappers import Response

from catloader.web.http import bearer

MIME_TYPE = "application/problem+json"

SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not accept this method.",
}
"""Sentences for the API that replace those about pages."""


def is_wanted() -> bool:
    """Return True if an error of this request must be a problem document."""
    return f"{request.path}/".startswith("/api/") or bearer.scope_of_request() is not None


def problem(status: int, detail: str) -> Response:
    """Build the problem document. Its type is ``about:blank``: the HTTP status says what the problem is.

    Args:
        detail: one plain sentence.
    """
    title = HTTPStatus(status).phrase
    response = jsonify(type="about:blank", title=title, status=status, detail=detail)
    response.mimetype = MIME_TYPE
    return response
