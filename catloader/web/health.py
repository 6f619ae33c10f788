"""Liveness, readiness, and the wake-up endpoint of ``CATCHECK_DISPATCH=internal``."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, jsonify

from catloader.health import readiness
from catloader.web.accounts.sessions import without_login
from catloader.web.http.context import services
from catloader.web.http.forms import without_token
from catloader.web.http.proxies import under_any_name
from catloader.web.uploads.admission import uses_object_store
from catloader.wiring import Services
from checker.http import wake_up_blueprint

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@blueprint.get("/livez")
@without_login
@under_any_name
def healthz() -> Response:
    return jsonify(ok=True)


@blueprint.get("/readyz")
@without_login
@under_any_name
@uses_object_store
def readyz() -> tuple[Response, int]:
    """Return 200 if uploads are accepted and this process's checker (if it has one) is ready; else 503."""
    state = readiness(services())
    return jsonify(state), 200 if state["ready"] else 503


def mount_wake_up(app: Flask) -> None:
    """Add the wake-up endpoint if ``CATCHECK_DISPATCH=internal`` and this process has a checker."""
    services: Services = app.extensions["catloader"]
    if services.settings.dispatch != "internal" or services.checker is None:
        return
    wake_up = wake_up_blueprint(services.checker.wake, services.signer.refusal)
    app.register_blueprint(wake_up)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{wake_up.name}."):
            without_token(view)  # its callers are programs, which sign their requests
            app.view_functions[endpoint] = without_login(view)
