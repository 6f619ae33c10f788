"""The clients, ids and photos of requests, for the log."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any

from flask import Flask, g, request
from werkzeug.wrappers import Response

from catloader.logs import request_id
from catloader.settings import Settings

FACTS = "catloader.access_facts"
"""Key in the WSGI environment under which the server finds these facts for the access log."""
HEADER = "X-Request-Id"
_MOST_PHOTOS = 100
_PLAIN_ID = re.compile(r"[\w-]{8,64}", re.ASCII)


def init_app(app: Flask, settings: Settings) -> None:
    """Give every request an id. Call this before other modules add functions that run before requests."""

    @app.before_request
    def begin() -> None:
        g.request_id = _new_id(settings)
        request_id.set(g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        request.environ[FACTS] = _facts()
        return response

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        request_id.set("")


def tell_photos(ids: Iterable[int]) -> None:
    """Add ids of photos to the access log, for requests whose address does not contain them."""
    g.photo_ids = [*g.get("photo_ids", ()), *ids][:_MOST_PHOTOS]


def _new_id(settings: Settings) -> str:
    """Return the id set by a trusted proxy, so that both logs have the same id; else a random one."""
    proxy_id = request.headers.get(HEADER, "")
    if settings.trusted_proxies and _PLAIN_ID.fullmatch(proxy_id):
        return proxy_id
    return secrets.token_hex(8)


def _facts() -> dict[str, Any]:
    photos = g.get("photo_ids", [])
    if "id" in (arguments := request.view_args or {}) and "/photos/" in request.path:
        photos = [arguments["id"], *photos]
    # The address that trusted proxies name; that of the connection would be the address of the last proxy.
    address = {"address": request.remote_addr} if request.remote_addr else {}
    return {**address, "request_id": g.request_id, "photo_ids": photos}
