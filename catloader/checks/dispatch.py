"""Step 4, dispatch: wake the checker.

The table of photos is the queue; a wake-up only means "look now". A lost wake-up costs time, never a photo,
because the checker's sweep finds the photo later. ``wake`` is called after the commit; it never blocks and
never raises.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from catloader.answer_time import limit_session
from catloader.checks.signatures import Signer
from catloader.settings import Settings
from checker.log_limit import LogLimit
from checker.ports import WAKE_UP_PATH

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

_BODY = '{"type":"photos.waiting"}'
_ANSWER_S = 10.0
_TIMEOUT_S = (3.05, _ANSWER_S)  # connect, read


class Dispatcher(Protocol):
    """One way to wake the checker."""

    def wake(self) -> None: ...

    def close(self) -> None: ...


class Listening(Protocol):
    """Wakes the checker of this process when a wake-up arrives from another process."""

    def start(self) -> None: ...

    def close(self) -> None: ...


class Off:
    """``off``: wakes no checker; the sweep of other processes finds the photos."""

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


class InProcess:
    """``thread``: wakes the checker of this process."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def close(self) -> None:
        pass


class InBackground:
    """Sends wake-ups in one thread. Requests that arrive during a wake-up are merged into one more wake-up.

    A failed wake-up is repeated every ``retry_s`` until a wake-up succeeds; at most one line a minute is
    logged.

    Args:
        send: sends a wake-up; returns an error message, or an empty string after success.
    """

    def __init__(self, send: Callable[[], str], *, retry_s: float) -> None:
        self._send, self._retry_s = send, retry_s
        self._requested, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock, self._log_limit = threading.Lock(), LogLimit()

    def wake(self) -> None:
        self._requested.set()
        # The thread starts with the first wake-up: a thread from before gunicorn's fork would not exist in
        # the worker.
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dispatch", daemon=True)
                self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._requested.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while True:
            self._requested.wait()
            if self._closing.is_set():
                return
            self._requested.clear()
            if failure := self._failure():
                if (suffix := self._log_limit.suffix()) is not None:
                    logger.warning("%s%s", failure, suffix)
                self._requested.set()
                self._closing.wait(self._retry_s)

    def _failure(self) -> str:
        try:
            return self._send()
        except Exception as error:  # the top of this thread, which must not end
            return f"No checker was woken: {type(error).__name__}: {' '.join(str(error).split())}"


class HttpPost(InBackground):
    """``internal`` and ``external``: sends signed wake-ups as POST requests."""

    def __init__(self, url: str, signer: Signer, *, retry_s: float) -> None:
        self._session = wake_up_session()
        super().__init__(lambda: post_wake_up(self._session, url, signer), retry_s=retry_s)

    def close(self) -> None:
        super().close()
        self._session.close()


class Together:
    """Wakes with several dispatchers."""

    def __init__(self, *dispatchers: Dispatcher) -> None:
        self._dispatchers = dispatchers

    def wake(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.wake()

    def close(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.close()


def wake_up_session() -> requests.Session:
    """Return a session for ``post_wake_up``."""
    import requests

    session = requests.Session()
    # Proxies in the environment are for the internet, not for the configured address.
    session.trust_env = False
    limit_session(session, _ANSWER_S)
    return session


def post_wake_up(session: requests.Session, url: str, signer: Signer) -> str:
    """Send a wake-up; return an error message, or an empty string after success."""
    import requests

    from catloader.no_answer import reason_of

    try:
        response = session.post(
            url,
            data=_BODY,
            headers={"content-type": "application/json", **signer.sign(_BODY)},
            timeout=_TIMEOUT_S,
            allow_redirects=False,
        )
    except ValueError:  # requests parses the target of a redirect even if it does not follow it
        return f"The Cat Checker at {url} redirects to an address that is not valid. Photos wait."
    except requests.RequestException as error:
        return f"The Cat Checker at {url} does not answer: {reason_of(error)}. Photos wait."
    if response.status_code != requests.codes.accepted:
        return f"The Cat Checker at {url} refused a wake-up: HTTP {response.status_code}."
    return ""


def choose_dispatcher(
    settings: Settings,
    signer: Signer,
    wake_here: Callable[[], None] | None,
    notify: Callable[[], str] | None,
    send_task: Callable[[], str] | None,
) -> Dispatcher:
    """Return the configured dispatcher, combined with PostgreSQL's notifications.

    Args:
        wake_here: wakes the checker of this process; None: this process has no checker.
        notify: wakes all checkers that listen to the database; None: the database has no notifications.
        send_task: wakes all checkers through the broker of ``celery``; None: another dispatch is set.
    """
    dispatcher: Dispatcher = Off()
    urls = {"internal": local_url(settings.host, settings.port), "external": settings.checker_url.rstrip("/")}
    if settings.dispatch == "thread" and wake_here is not None:
        dispatcher = InProcess(wake_here)
    elif url := urls.get(settings.dispatch):
        dispatcher = HttpPost(url + WAKE_UP_PATH, signer, retry_s=settings.sweep_s)
    elif send_task is not None:
        dispatcher = InBackground(send_task, retry_s=settings.sweep_s)
    if notify is None:
        return dispatcher
    # Whatever dispatch is set: workers on other machines may listen to the database.
    return Together(dispatcher, InBackground(notify, retry_s=settings.sweep_s))


def local_url(host: str, port: int) -> str:
    """Return the URL at which a program on this machine reaches a server that listens on ``host``."""
    try:
        address = ip_address(host)
    except ValueError:  # a host name
        return f"http://{host}:{port}"
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"
