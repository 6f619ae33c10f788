"""Rows for dispatch (step 4): a wake-up must reach a checker."""

from __future__ import annotations

import threading

from catloader.checks.broker import Broker, BrokerListener
from catloader.checks.dispatch import local_url, post_wake_up, wake_up_session
from catloader.checks.status import checker_status
from catloader.doctor.rows import Row
from catloader.settings import Settings
from catloader.store.db.engine import Engine
from catloader.store.db.notifications import Listener
from catloader.wiring import build_broker, build_engine, build_signer
from checker.ports import WAKE_UP_PATH

_PART = "dispatch"
_WAIT_S = 3.0
_MORE_S = 1.0


def row(settings: Settings) -> Row:
    """Send a signed wake-up like the site does, and request the state of the checker."""
    site = local_url(settings.host, settings.port)
    if settings.dispatch == "off":
        return Row(_PART, "ok", "The site wakes no checker; `catloader worker` processes sweep the table.")
    if broker := build_broker(settings):
        return _through(broker)
    state = checker_status(settings, site)
    if settings.dispatch == "thread" or (settings.dispatch == "internal" and state.startswith("not running")):
        if state == "running":
            return Row(_PART, "ok", f"The site at {site} runs and checks photos itself.")
        return Row(_PART, "note", f"The site checks photos itself; now: {state}.")
    url = settings.checker_url.rstrip("/") if settings.dispatch == "external" else site
    engine = build_engine(settings)
    try:
        with wake_up_session() as session:
            failure = post_wake_up(session, url + WAKE_UP_PATH, build_signer(settings, engine))
    finally:
        engine.dispose()
    if failure:
        return Row(_PART, "failed", failure)
    return Row(_PART, "ok" if state == "running" else "note", f"A wake-up reached {url}; checker: {state}.")


def notifications(engine: Engine, wait_s: float = _WAIT_S) -> Row:
    """Send a PostgreSQL notification from one connection to another."""
    listener = Listener(engine, lambda: None, retry_s=wait_s, echo_s=wait_s)
    listener.start()
    arrived = listener.listening.wait(wait_s + _MORE_S)
    listener.close()
    if arrived:
        return Row("notifications", "ok", "A wake-up came back from PostgreSQL.")
    sentence = (
        "No wake-up comes back from PostgreSQL, perhaps because of a transaction pooler; workers sweep."
    )
    return Row("notifications", "note", sentence)


def _through(broker: Broker) -> Row:
    """Send a task through the broker and wait for it, as a worker does."""
    if failure := broker.send():
        return Row(_PART, "failed", failure)
    woken = threading.Semaphore(0)
    listener = BrokerListener(broker, woken.release, retry_s=_WAIT_S)
    listener.start()
    try:
        connected = woken.acquire(timeout=_WAIT_S)
        if not connected or broker.send() or not woken.acquire(timeout=_WAIT_S):
            return Row(_PART, "failed", f"{broker.name} accepts wake-ups but delivers none.")
    finally:
        listener.close()
    return Row(_PART, "ok", f"A wake-up came back from {broker.name}, where `catloader worker` listens.")
