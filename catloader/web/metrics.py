"""``/metrics`` for Prometheus. Clients need the token from the settings."""

from __future__ import annotations

import time

from flask import Blueprint, Flask, Response, abort, g, request

from catloader.health import metrics_status, metrics_text
from catloader.metrics import CONTENT_TYPE
from catloader.web.accounts.sessions import without_login
from catloader.web.http.proxies import under_any_name
from catloader.wiring import Services

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Other methods are counted as "other". Each label value adds time series, and clients can invent methods."""


def metrics_blueprint(services: Services) -> Blueprint:
    """Return a blueprint for ``GET /metrics``.

    It responds with 404 if CATLOADER_METRICS_TOKEN is not set, and with 401 if the request lacks the token.
    """
    blueprint = Blueprint("metrics", __name__)
    token = services.settings.metrics_token.get_secret_value()

    @blueprint.get("/metrics")
    @without_login
    @under_any_name
    def metrics() -> Response:
        status = metrics_status(token, request.headers.get("Authorization", ""))
        if status != 200:
            abort(status)
        return Response(metrics_text(services), content_type=CONTENT_TYPE)

    return blueprint


def init_app(app: Flask) -> None:
    """Measure the time of every request. Call this before other ``before_request`` functions are added."""
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
