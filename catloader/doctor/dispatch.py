"""Step 4: does a wake-up reach a checker?"""

from __future__ import annotations

import requests

from catloader.checks.dispatch import local_url, post_wake_up
from catloader.checks.status import checker_status
from catloader.doctor.rows import Row
from catloader.settings import Settings
from catloader.wiring import build_broker, build_engine, build_signer
from checker.ports import WAKE_UP_PATH

_PART = "dispatch"


def row(settings: Settings) -> Row:
    """Send a signed wake-up the way the site does, and ask the checker for its state."""
    site = local_url(settings.host, settings.port)
    if settings.dispatch == "off":
        return Row(
            _PART, "ok", "The site wakes no checker; `catloader worker` processes look for themselves."
        )
    if broker := build_broker(settings):
        if failure := broker.send():
            return Row(_PART, "failed", failure)
        return Row(
            _PART, "ok", f"A wake-up reached {broker.name}; `catloader worker` processes listen there."
        )
    state = checker_status(settings, site)
    if settings.dispatch == "thread" or (settings.dispatch == "internal" and state.startswith("not running")):
        if state == "running":
            return Row(_PART, "ok", f"The site at {site} runs and checks photos itself.")
        return Row(_PART, "note", f"The site checks photos itself; now: {state}.")
    url = settings.checker_url.rstrip("/") if settings.dispatch == "external" else site
    engine = build_engine(settings)
    try:
        with requests.Session() as session:
            session.trust_env = False
            failure = post_wake_up(session, url + WAKE_UP_PATH, build_signer(settings, engine))
    finally:
        engine.dispose()
    if failure:
        return Row(_PART, "failed", failure)
    return Row(_PART, "ok" if state == "running" else "note", f"A wake-up reached {url}; checker: {state}.")
