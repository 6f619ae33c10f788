"""Addresses with a slash at the end: ``/photos/`` leads to ``/photos``, which people mean."""

from __future__ import annotations

from urllib.parse import quote

from flask import Flask, current_app, redirect, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response


def init_app(app: Flask) -> None:
    app.before_request(_without_slash)


def _without_slash() -> Response | None:
    """Redirect to the address without slashes at its end, if it is the address of a page.

    An address that begins with two slashes is none, so no redirect leads to another site.
    """
    path, adapter = request.path.rstrip("/"), current_app.create_url_adapter(request)
    is_unknown = isinstance(request.routing_exception, NotFound) and request.method in ("GET", "HEAD")
    if not is_unknown or not path or path == request.path or adapter is None:
        return None
    try:
        adapter.match(path, method="GET")
    except HTTPException:  # also a redirect
        return None
    query = request.query_string.decode("latin-1")
    return redirect(quote(request.script_root + path) + (f"?{query}" if query else ""), 308)
