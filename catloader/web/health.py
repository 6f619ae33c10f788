"""Is the process alive, can it work; and the wake-up endpoint of ``CATCHECK_DISPATCH=internal``."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Blueprint, Flask, Response, jsonify
from flask_wtf.csrf import CSRFProtect

from catloader.errors import CatLoaderError
from catloader.web.context import services
from catloader.web.sessions import public
from catloader.wiring import Services
from checker.http import wake_up_blueprint

logger = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    return jsonify(ok=True)


@blueprint.get("/readyz")
@public
def readyz() -> tuple[Response, int]:
    """200 when photos are taken, and checked if this process has a checker of its own."""
    parts = {"database": _answers(_ask_database), "object_store": _answers(_ask_object_store)}
    checker = services().checker
    state = {"state": "elsewhere"} if checker is None else checker.state()
    ready = all(parts.values()) and state["state"] in ("elsewhere", "ready")
    words = {name: "ok" if fine else "no answer" for name, fine in parts.items()}
    return jsonify(ready=ready, checker=state, **words), 200 if ready else 503


def mount_wake_up(app: Flask, csrf: CSRFProtect) -> None:
    found: Services = app.extensions["catloader"]
    if found.settings.dispatch != "internal" or found.checker is None:
        return
    wake_up = wake_up_blueprint(found.checker.wake, found.signer.refusal)
    app.register_blueprint(wake_up)
    csrf.exempt(wake_up)  # no browser calls it; its signature is checked instead
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{wake_up.name}."):
            app.view_functions[endpoint] = public(view)


def _ask_database() -> None:
    services().users.by_id(0)


def _ask_object_store() -> None:
    services().objects.exists(services().settings.s3_photos_bucket, "readyz")


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except CatLoaderError as error:
        logger.error("not ready: %s", error)
        return False
    return True
