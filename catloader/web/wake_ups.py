"""``GET /checkcatimages`` and ``GET /checkcatimages-api``: wake the checker, open to anyone.

These are the addresses of the first version of this site. They exist only with ``CATCHECK_GET_WAKE_UPS=on``,
because any link or crawler can trigger a GET that has an effect. The effect is small: parameters are not
read, and any number of requests causes at most one wake-up every few seconds.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from flask import Blueprint, Flask, Response, jsonify, render_template

from catloader.checks.dispatch import Dispatcher
from catloader.errors import TooManyAttempts
from catloader.web.accounts.sessions import without_login
from catloader.web.http.context import services
from catloader.wiring import Services
from checker.ports import WAKE_UP_PATH

PAGE_PATH = "/checkcatimages"

_MOST_IN_A_MINUTE = 60
_EVERY_S = 5.0
_MOST_COUNTED = 1000


class BoundedWakeUps:
    """Wake-ups with a common limit for all clients. Thread-safe."""

    def __init__(self, dispatcher: Dispatcher, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._dispatcher, self._clock_s, self._lock = dispatcher, clock_s, threading.Lock()
        self._requests_s: deque[float] = deque(maxlen=_MOST_IN_A_MINUTE)
        self._woken_s = float("-inf")

    def ask(self) -> None:
        """Wake the checker, unless it was woken in the last seconds.

        Raises:
            TooManyAttempts: there were more than 60 requests to this process in a minute.
        """
        with self._lock:
            now_s = self._clock_s()
            if len(self._requests_s) == _MOST_IN_A_MINUTE and now_s - self._requests_s[0] < 60:
                raise TooManyAttempts(math.ceil(self._requests_s[0] + 60 - now_s))
            self._requests_s.append(now_s)
            if now_s - self._woken_s < _EVERY_S:
                return
            self._woken_s = now_s
        self._dispatcher.wake()


def mount(app: Flask) -> None:
    """Add both addresses if the settings enable them."""
    site: Services = app.extensions["catloader"]
    if site.settings.get_wake_ups == "on":
        app.register_blueprint(_blueprint(BoundedWakeUps(site.dispatcher)))


def _blueprint(wake_ups: BoundedWakeUps) -> Blueprint:
    blueprint = Blueprint("wake_ups", __name__)

    @blueprint.get(PAGE_PATH)
    @without_login
    def page() -> str:
        wake_ups.ask()
        waiting = services().photos.count_waiting(_MOST_COUNTED)
        return render_template("check_started.html", waiting=waiting, many=waiting == _MOST_COUNTED)

    @blueprint.get(WAKE_UP_PATH)
    @without_login
    def api() -> tuple[Response, int]:
        """Respond in the JSON format of the first version."""
        try:
            wake_ups.ask()
        except TooManyAttempts as error:
            services().metrics.refused(type(error).__name__)
            response = jsonify(data="Too many requests", error=error.status)
            response.headers["Retry-After"] = str(error.retry_after_s)
            return response, error.status
        return jsonify(data="OK", error=0), 200

    return blueprint
