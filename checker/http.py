"""The stand-alone Cat Checker service: a signed wake-up in, 202 out, the work in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request

from checker.ports import WAKE_UP_PATH

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 4096

Refusal = Callable[[Mapping[str, str], bytes], str | None]
"""``(headers, body)`` -> why the wake-up is refused, or None."""


def wake_up_blueprint(wake: Callable[[], None], refusal: Refusal) -> Blueprint:
    """``POST WAKE_UP_PATH``: 202 when believed, else 401 with the reason; never waits for the work."""
    blueprint = Blueprint("wake_up", __name__)

    @blueprint.post(WAKE_UP_PATH)
    def wake_up() -> tuple[Response, int]:
        # Read no more than a wake-up can be: the sender is not known yet.
        request.max_content_length = MAX_BODY_BYTES
        reason = refusal(dict(request.headers), request.get_data())
        if reason is not None:
            logger.warning("%s (from %s)", reason, request.remote_addr)
            return jsonify(error=reason), 401
        wake()
        return jsonify(state="woken"), 202

    return blueprint


def create_checker_app(
    wake: Callable[[], None], state: Callable[[], dict[str, Any]], refusal: Refusal
) -> Flask:
    """The whole service. ``state`` is ``CheckerService.state``."""
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(wake_up_blueprint(wake, refusal))

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(ok=True)

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        now = state()
        return jsonify(now), 200 if now.get("state") == "ready" else 503

    return app
