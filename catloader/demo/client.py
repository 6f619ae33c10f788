"""An HTTP client that fills in the forms of the site's pages, for the demo, benchmarks and tests."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import requests

from catloader.errors import CatLoaderError, StartupError

_READY_S = 120.0
_VERDICT_S = 60.0
_POLL_S, _LONGEST_POLL_S = 0.02, 0.1
"""Time between two polls, at first and after a second. A poll takes the site a few milliseconds of a core."""
_PORTS = range(16384, 32768)
"""Outgoing connections use ports from 32768 on in Linux's default configuration."""


class Visitor:
    """A person with a browser.

    Args:
        must_run: called while waiting for the site; raises if the site has ended.
    """

    def __init__(self, url: str, must_run: Callable[[], None] = lambda: None) -> None:
        self._url, self._must_run = url, must_run
        self._http = requests.Session()
        self._http.trust_env = False  # proxies in the environment are not for loopback

    def wait_until_ready(self) -> None:
        """Wait until the site responds and, if it checks photos itself, its model is loaded.

        Raises:
            StartupError: the site ended, or its model was refused.
        """
        for _ in until(_READY_S, "The site was not ready"):
            self._must_run()
            try:
                checker = self._http.get(self._url + "/readyz", timeout=10).json()["checker"]
            except (requests.ConnectionError, requests.Timeout):
                continue
            if checker["state"] in ("ready", "elsewhere"):
                return
            if checker["state"] == "refused":
                raise StartupError(checker["reason"])

    def checker(self) -> dict[str, Any]:
        """Return the state of the site's checker from ``/readyz``."""
        return dict(self._http.get(self._url + "/readyz", timeout=10).json()["checker"])

    def register(self, email: str = "demo@example.org") -> None:
        """Create an account with a random password, and stay logged in."""
        form = self.form("/register")
        form |= {"email": email, "password": secrets.token_urlsafe(16)}
        self._post("/register", data=form)

    def log_in(self, email: str, password: str) -> None:
        """Log in to an existing account, and stay logged in."""
        self._post("/login", data=self.form("/login") | {"email": email, "password": password})

    def upload(self, name: str, data: bytes, form: dict[str, str] | None = None) -> int:
        """Upload one file; return the photo's id. With ``form``, the page is not fetched first."""
        result = self._post("/upload", data=form or self.form("/upload"), files={"photos": (name, data)})
        return int(result["files"][0]["id"])

    def status(self, photo_id: int) -> dict[str, Any]:
        """Return the data of the photo's badge."""
        url = f"{self._url}/api/photos/status?ids={photo_id}"
        photo: dict[str, Any]
        (photo,) = self._http.get(url, timeout=10).json()["photos"]
        return photo

    def wait_for_verdict(self, photo_id: int) -> dict[str, Any]:
        """Return the photo's final status."""
        for _ in until(_VERDICT_S, f"Photo {photo_id} got no verdict"):
            if (photo := self.status(photo_id))["final"]:
                return photo
        raise AssertionError("unreachable: until raises")

    def form(self, path: str) -> dict[str, str]:
        """Return the hidden fields of the page's form."""
        page = self._http.get(self._url + path, timeout=10).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        if token is None:
            raise CatLoaderError(f"{path} shows no form.")
        return {"csrf_token": unescape(token[1])}

    def _post(self, path: str, **request: Any) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        response = self._http.post(self._url + path, headers=headers, timeout=_VERDICT_S, **request)
        if not response.ok:
            raise CatLoaderError(f"{path} answered HTTP {response.status_code}: {response.text[:300]}")
        is_json = response.headers["content-type"].startswith("application/json")
        return dict(response.json()) if is_json else {}


def until(seconds: float, complaint: str) -> Iterator[None]:
    """Yield every 20 ms, and after a second every 0.1 s, until the caller stops or the time is over.

    Raises:
        CatLoaderError: the time is over; the text is ``complaint`` with the time.
    """
    end_s, pause_s = time.monotonic() + seconds, _POLL_S
    while time.monotonic() < end_s:
        yield
        time.sleep(pause_s)
        pause_s = min(1.1 * pause_s, _LONGEST_POLL_S)
    raise CatLoaderError(f"{complaint} in {seconds:.0f} s.")


def free_port() -> int:
    """Return a free TCP port of the loopback address, outside the range for outgoing connections."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
