"""Request the state of the checker over HTTP."""

from __future__ import annotations

import requests

from catloader.answer_time import limit_session
from catloader.settings import Settings

_TIMEOUT_S = 2.0
_NO_REPORT = (requests.RequestException, ValueError, AttributeError, TypeError, RecursionError)
"""No response, or a response from another program."""


def checker_status(settings: Settings, site_url: str) -> str:
    """Return ``running``, or a few words on why photos may have to wait.

    Args:
        site_url: URL at which a program on this machine reaches the site.
    """
    if settings.dispatch in ("off", "celery"):
        return "in `catloader worker` processes, which do not report"
    url = settings.checker_url.rstrip("/") if settings.dispatch == "external" else site_url
    try:
        with requests.Session() as session:
            session.trust_env = False  # proxies in the environment are for the internet
            limit_session(session, _TIMEOUT_S)
            report = session.get(url + "/readyz", timeout=_TIMEOUT_S).json()
        state = report.get("checker", report)  # the site reports its checker next to database and store
        if state.get("state") == "refused":
            return f"refuses to check ({state.get('reason')})"
        return {"ready": "running", "loading": "loading the model"}.get(state.get("state"), "not running")
    except _NO_REPORT:
        names = "CATCHECKER_URL" if settings.dispatch == "external" else "CATLOADER_HOST, CATLOADER_PORT"
        return f"not running (no answer at {url}; {names})"
