"""The stand-alone Cat Checker service over HTTP: signed wake-ups and health."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request

from checker.log_limit import LogLimits
from checker.ports import WAKE_UP_PATH

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 4096

Refusal = Callable[[Mapping[str, str], bytes], str | None]
"""``(headers, body)`` -> the reason to refuse the wake-up, or None."""


def wake_up_blueprint(wake: Callable[[], None], refusal: Refusal) -> Blueprint:
    """Build ``POST WAKE_UP_PATH``: 202 at once if ``refusal`` returns None, else 401 with the reason."""
    blueprint = Blueprint("wake_up", __name__)
    log_limits = LogLimits()

    @blueprint.post(WAKE_UP_PATH)
    def wake_up() -> tuple[Response, int]:
        # Limited to the size of the largest wake-up: the sender is not authenticated yet.
        request.max_content_length = MAX_BODY_BYTES
        reason = refusal(dict(request.headers), request.get_data())
        if reason is not None:
            if (suffix := log_limits.suffix(reason)) is not None:  # anyone can send such requests
                logger.warning("%s (from %s)%s", reason, request.remote_addr, suffix)
            return jsonify(error=reason), 401
        wake()
        return jsonify(state="woken"), 202

    return blueprint


def create_checker_app(
    wake: Callable[[], None], state: Callable[[], dict[str, Any]], refusal: Refusal
) -> Flask:
    """Build the service: wake-ups, ``/livez`` (200) and ``/readyz`` (503 until the model is loaded).

    Args:
        state: ``CheckerService.state``, the body of ``/readyz``.
    """
    app = Flask(__name__, static_folder=None)
    app.debug = False  # whatever FLASK_DEBUG says
    app.register_blueprint(wake_up_blueprint(wake, refusal))

    @app.get("/healthz")
    @app.get("/livez")
    def healthz() -> Response:
        return jsonify(ok=True)

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        body = state()
        return jsonify(body), 200 if body.get("state") == "ready" else 503

    return app
