"""The state of a site's or worker's process for probes, and its metrics for Prometheus."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from typing import Any

from catloader.errors import CatLoaderError
from catloader.store.db.engine import utcnow
from catloader.wiring import Services
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

_ATTEMPTS = 10
_LOG_LIMITS = LogLimits()


def readiness(services: Services) -> dict[str, Any]:
    """Return the state of the process, its database, object store and checker.

    ``ready``: database and object store answer, and this process's checker, if any, is ready.
    ``oldest_waiting_s``: time for which the first photo of the queue has been due. ``last_checks``: "ok",
    "all failed" (the latest ten attempts, of any checker) or "none". A long wait and failing checks need
    attention, but do not make the process unready: uploads are still accepted, and only new photos can show
    that checks succeed again.
    """
    parts = {
        "database": _responds(lambda: services.users.by_id(0)),
        "object_store": _responds(services.objects.ask),
    }
    checker = {"state": "elsewhere"} if services.checker is None else services.checker.state()
    ready = all(parts.values()) and checker["state"] in ("elsewhere", "ready")
    texts = {name: "ok" if ok else "no answer" for name, ok in parts.items()}
    queue = (
        {"oldest_waiting_s": round(oldest_waiting_s(services), 1), "last_checks": _last_checks(services)}
        if parts["database"]
        else {}
    )
    return {"ready": ready, "checker": checker, **texts, **queue}


def oldest_waiting_s(services: Services) -> float:
    due_since = services.photos.due_since()
    return max(0.0, (utcnow() - due_since).total_seconds()) if due_since else 0.0


def metrics_text(services: Services) -> bytes:
    """Return all metrics in Prometheus' text format."""
    return services.metrics.as_text(
        services.photos.count_by_status(), oldest_waiting_s(services), services.upkeep.dead_rows()
    )


def metrics_status(token: str, authorization: str) -> int:
    """Return the HTTP status of a request for metrics.

    Args:
        token: ``CATLOADER_METRICS_TOKEN``; empty: the page is off.
        authorization: header of the request.
    """
    request_token = authorization.removeprefix("Bearer ")
    if not token:
        return 404
    return 200 if hmac.compare_digest(request_token.encode(), token.encode()) else 401


def _last_checks(services: Services) -> str:
    failed = services.activity.last_attempts_failed(_ATTEMPTS)
    return "none" if failed is None else "all failed" if failed else "ok"


def _responds(query: Callable[[], object]) -> bool:
    try:
        query()
    except CatLoaderError as error:
        if (suffix := _LOG_LIMITS.suffix(str(error))) is not None:
            logger.error("not ready: %s%s", error, suffix)
        return False
    return True
