"""Debian's Firefox, driven through Marionette, the protocol that geckodriver speaks, so no driver is needed.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_START_S, _WAIT_S = 120.0, 60.0
_PREFERENCES = {
    "marionette.port": 0,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.server": "",
}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_LOADED = "return performance.getEntriesByType('resource').map((one) => one.name)"


class Failed(Exception):
    """A command failed; the message is Firefox's."""


class Firefox:
    """One window. Elements are found by XPath."""

    def __init__(self, connection: socket.socket) -> None:
        self.loaded = set[str]()
        """Addresses of the files that the pages had loaded when the last element was found."""
        self._connection, self._stream, self._number = connection, connection.makefile("rb"), 0
        self._receive()  # the greeting
        self.send("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
        self.send("WebDriver:SetWindowRect", {"width": 500, "height": 900})

    def send(self, name: str, parameters: dict[str, Any] | None = None) -> Any:
        """Send a command; return its result. Raises Failed."""
        self._number += 1
        message = json.dumps([0, self._number, name, parameters or {}]).encode()
        self._connection.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        if error:
            raise Failed(f"{name}: {error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    def _receive(self) -> Any:
        digits = b""
        while (byte := self._stream.read(1)) != b":":
            assert byte, "Firefox has closed the connection"
            digits += byte
        return json.loads(self._stream.read(int(digits)))

    def open(self, url: str) -> None:
        self.send("WebDriver:Navigate", {"url": url})

    @property
    def url(self) -> str:
        return str(self.send("WebDriver:GetCurrentURL"))

    def find(self, xpath: str) -> str:
        """Return the element once it exists and is visible."""
        ids: list[str] = []

        def look() -> bool:
            elements = self.send("WebDriver:FindElements", {"using": "xpath", "value": xpath})
            ids[:] = [element[_ELEMENT] for element in elements]
            return any(self.send("WebDriver:IsElementDisplayed", {"id": id}) for id in ids)

        self.wait(look, xpath)
        self.loaded.update(self.send("WebDriver:ExecuteScript", {"script": _LOADED, "args": []}))
        return next(id for id in ids if self.send("WebDriver:IsElementDisplayed", {"id": id}))

    def click(self, xpath: str) -> None:
        self.send("WebDriver:ElementClick", {"id": self.find(xpath)})

    def type(self, xpath: str, text: str) -> None:
        self.send("WebDriver:ElementSendKeys", {"id": self.find(xpath), "text": text})

    def press(self, key: str) -> None:
        """Press a key once the scripts of the page run: before that, it would have no effect."""
        state = {"script": "return document.readyState", "args": []}
        self.wait(lambda: self.send("WebDriver:ExecuteScript", state) == "complete", "the whole page")
        keys = [{"type": type, "value": key} for type in ("keyDown", "keyUp")]
        self.send("WebDriver:PerformActions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})

    def delete_cookies(self) -> None:
        self.send("WebDriver:DeleteAllCookies")

    def choose_file(self, id: str, path: Path) -> None:
        """Choose a file in a file field, which may be hidden."""
        field = self.send("WebDriver:FindElement", {"using": "css selector", "value": f"#{id}"})
        self.send("WebDriver:ElementSendKeys", {"id": field[_ELEMENT], "text": str(path)})

    def wait(self, condition: Callable[[], bool], for_what: str) -> None:
        """Wait until ``condition`` is true. It may raise ``Failed`` while the browser replaces the page."""
        deadline_s = time.monotonic() + _WAIT_S
        problem = "not there"
        while time.monotonic() < deadline_s:
            try:
                if condition():
                    return
            except Failed as error:
                problem = str(error)
            time.sleep(0.1)
        raise AssertionError(f"{for_what}: {problem}; at {self.url}")


@contextmanager
def firefox(program: str, folder: Path) -> Iterator[Firefox]:
    """Run Firefox without a display, with a new profile in a folder."""
    folder.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _PREFERENCES.items())
    (folder / "user.js").write_text("".join(lines))
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with socket.create_connection(("127.0.0.1", _port(folder, process)), timeout=_WAIT_S) as connection:
            yield Firefox(connection)
    finally:
        process.terminate()
        process.wait(60)


def _port(folder: Path, process: subprocess.Popen[bytes]) -> int:
    deadline_s, file = time.monotonic() + _START_S, folder / "MarionetteActivePort"
    while time.monotonic() < deadline_s:
        assert process.poll() is None, "Firefox ended"
        if file.exists() and (text := file.read_text()):
            return int(text)
        time.sleep(0.1)
    raise AssertionError("Firefox did not start")
