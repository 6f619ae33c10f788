"""Liveness, readiness, and the wake-up endpoint of ``CATCHECK_DISPATCH=internal``."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Flask, Response, jsonify

from catloader.errors import CatLoaderError
from catloader.store.db.engine import utcnow
from catloader.store.kinds import ObjectKind
from catloader.web.admission import uses_object_store
from catloader.web.context import services
from catloader.web.errors import log_once_a_minute
from catloader.web.forms import without_token
from catloader.web.sessions import without_login
from catloader.wiring import Services
from checker.http import wake_up_blueprint

blueprint = Blueprint("health", __name__)

_ATTEMPTS = 10


@blueprint.get("/healthz")
@blueprint.get("/livez")
@without_login
def healthz() -> Response:
    return jsonify(ok=True)


@blueprint.get("/readyz")
@without_login
@uses_object_store
def readyz() -> tuple[Response, int]:
    """Return 200 if uploads are accepted and this process's checker, if any, is ready; else 503.

    ``oldest_waiting_s``: how long the first photo of the queue has been due. ``last_checks``: "ok", "all
    failed" (the latest ten attempts, of any checker) or "none". A long wait and failing checks do not take
    the site out of service, but need attention: uploads are accepted, and without new photos no check could
    succeed.
    """
    parts = {"database": _responds(_query_database), "object_store": _responds(_query_object_store)}
    checker = services().checker
    state = {"state": "elsewhere"} if checker is None else checker.state()
    ready = all(parts.values()) and state["state"] in ("elsewhere", "ready")
    texts = {name: "ok" if ok else "no answer" for name, ok in parts.items()}
    queue = (
        {"oldest_waiting_s": round(oldest_waiting_s(), 1), "last_checks": _last_checks()}
        if parts["database"]
        else {}
    )
    return jsonify(ready=ready, checker=state, **texts, **queue), 200 if ready else 503


def _last_checks() -> str:
    failed = services().activity.last_attempts_failed(_ATTEMPTS)
    return "none" if failed is None else "all failed" if failed else "ok"


def oldest_waiting_s() -> float:
    due_since = services().photos.due_since()
    return max(0.0, (utcnow() - due_since).total_seconds()) if due_since else 0.0


def mount_wake_up(app: Flask) -> None:
    """Add the wake-up endpoint where ``CATCHECK_DISPATCH=internal`` needs it."""
    services: Services = app.extensions["catloader"]
    if services.settings.dispatch != "internal" or services.checker is None:
        return
    wake_up = wake_up_blueprint(services.checker.wake, services.signer.refusal)
    app.register_blueprint(wake_up)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{wake_up.name}."):
            without_token(view)  # called by programs, which sign the request
            app.view_functions[endpoint] = without_login(view)


def _query_database() -> None:
    services().users.by_id(0)


def _query_object_store() -> None:
    services().objects.exists(ObjectKind.PHOTO, "readyz")


def _responds(query: Callable[[], object]) -> bool:
    try:
        query()
    except CatLoaderError as error:
        log_once_a_minute(str(error), f"not ready: {error}")
        return False
    return True
