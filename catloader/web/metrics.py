"""``/metrics`` for Prometheus, for clients with the token only."""

from __future__ import annotations

import hmac
import time

from flask import Blueprint, Flask, Response, abort, g, request

from catloader.metrics import CONTENT_TYPE
from catloader.store.db.engine import utcnow
from catloader.web.sessions import without_login
from catloader.wiring import Services

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Clients may invent methods; each label makes time series that stay in memory and on disk."""


def metrics_blueprint(services: Services) -> Blueprint:
    """Answer ``GET /metrics``: 404 without CATLOADER_METRICS_TOKEN, 401 without it in the request."""
    blueprint = Blueprint("metrics", __name__)
    token = services.settings.metrics_token.get_secret_value()

    @blueprint.get("/metrics")
    @without_login
    def metrics() -> Response:
        if not token:
            abort(404)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            abort(401)
        due_since = services.photos.due_since()
        oldest_s = max(0.0, (utcnow() - due_since).total_seconds()) if due_since else 0.0
        text = services.metrics.as_text(
            services.photos.count_by_status(), oldest_s, services.upkeep.dead_rows()
        )
        return Response(text, content_type=CONTENT_TYPE)

    return blueprint


def init_app(app: Flask) -> None:
    """Time every request; call it before anything else that runs before requests."""
    services: Services = app.extensions["catloader"]

    @app.before_request
    def begin() -> None:
        g.begun_s = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.monotonic() - g.begun_s
        status = f"{response.status_code // 100}xx"
        method = request.method if request.method in _METHODS else "other"
        services.metrics.http_s.labels(method, request.endpoint or "none", status).observe(seconds)
        return response
