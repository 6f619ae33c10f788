"""Wake-ups over HTTP, sent to a real Cat Checker endpoint on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import pytest
import requests
from flask import Flask, redirect
from werkzeug.serving import BaseWSGIServer, make_server

from catloader.checks.dispatch import HttpPost, InBackground, Off, choose_dispatcher, post_wake_up
from catloader.checks.signatures import Signer, new_secret
from catloader.settings import Settings
from checker.http import MAX_BODY_BYTES, create_checker_app
from checker.ports import WAKE_UP_PATH


class Endpoint:
    """A Cat Checker that counts its wake-ups."""

    def __init__(self) -> None:
        self.secret = new_secret()
        self.seen: set[str] = set()
        self.woken = threading.Semaphore(0)
        self.wakes = 0
        self.signer = Signer(self.secret, self.remember)
        self.state = {"state": "loading"}
        self.server: BaseWSGIServer | None = None
        self.gate = threading.Event()
        """A POST is answered after it."""
        self.gate.set()

    def remember(self, message_id: str, _now: datetime) -> bool:
        new = message_id not in self.seen
        self.seen.add(message_id)
        return new

    def wake(self) -> None:
        assert self.gate.wait(60)
        self.wakes += 1
        self.woken.release()

    def start(self, port: int = 0) -> str:
        app = create_checker_app(self.wake, lambda: self.state, self.signer.refusal)
        self.server = make_server("127.0.0.1", port, app, threaded=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


def test_a_signed_wake_up_arrives(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # only for the internet, not for this service
    dispatcher = HttpPost(endpoint.start() + WAKE_UP_PATH, endpoint.signer, retry_s=0.05)
    dispatcher.wake()
    assert endpoint.woken.acquire(timeout=60)
    dispatcher.close()


def test_a_burst_of_wake_ups_makes_few_posts(endpoint: Endpoint) -> None:
    dispatcher = HttpPost(endpoint.start() + WAKE_UP_PATH, endpoint.signer, retry_s=0.05)
    endpoint.gate.clear()
    started_s = time.monotonic()
    for _ in range(1000):
        dispatcher.wake()
    assert time.monotonic() - started_s < 30, "wake() must not wait for the POST"
    endpoint.gate.set()
    assert endpoint.woken.acquire(timeout=60)
    dispatcher.close()
    assert endpoint.wakes < 100


def test_wake_ups_while_one_is_being_sent_are_merged_into_one_more() -> None:
    """A second wake-up is needed, because the first may be too early for a photo that came meanwhile."""
    sending, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def send() -> str:
        sending.release()
        assert go_on.acquire(timeout=60)
        return ""

    dispatcher = InBackground(send, retry_s=60)
    dispatcher.wake()
    assert sending.acquire(timeout=60)
    for _ in range(1000):
        dispatcher.wake()
    go_on.release()
    assert sending.acquire(timeout=60)
    go_on.release()
    assert not sending.acquire(timeout=0.3)
    dispatcher.wake()
    assert sending.acquire(timeout=60)
    go_on.release()
    dispatcher.close()


def test_a_post_is_repeated_until_the_checker_responds(endpoint: Endpoint) -> None:
    url = endpoint.start()
    port = int(url.rpartition(":")[2])
    endpoint.stop()
    dispatcher = HttpPost(url + WAKE_UP_PATH, endpoint.signer, retry_s=0.05)
    dispatcher.wake()
    assert not endpoint.woken.acquire(timeout=0.3)
    endpoint.start(port)
    assert endpoint.woken.acquire(timeout=60)
    dispatcher.close()


def test_failures_are_one_line_a_minute_and_a_bug_does_not_end_the_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent, calls = threading.Event(), 0

    def send() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("no such\ndatabase")
        if calls < 4:
            return "The broker is away."
        sent.set()
        return ""

    dispatcher = InBackground(send, retry_s=0.01)
    dispatcher.wake()
    assert sent.wait(60)
    dispatcher.close()
    assert caplog.messages == ["No checker was woken: ValueError: no such database"]


def test_unsigned_and_repeated_wake_ups_are_refused(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    url = endpoint.start() + WAKE_UP_PATH
    for _ in range(3):
        assert requests.post(url, data="{}", timeout=60).status_code == 401
    (line,) = (line for line in caplog.messages if line.startswith("The wake-up is refused"))
    assert line.endswith("missing required headers. (from 127.0.0.1)")
    assert requests.post(url, data=b"x" * (MAX_BODY_BYTES + 1), timeout=60).status_code == 413
    assert requests.get(url, timeout=60).status_code == 405
    headers = endpoint.signer.sign("{}")
    first = requests.post(url, data="{}", headers=headers, timeout=60)
    assert (first.status_code, first.json()) == (202, {"state": "woken"})
    second = requests.post(url, data="{}", headers=headers, timeout=60)
    assert second.status_code == 401
    assert "used before" in second.json()["error"]
    assert endpoint.wakes == 1


def test_readyz_reports_the_state_of_the_model(endpoint: Endpoint) -> None:
    url = endpoint.start()
    for path in ("/livez", "/healthz"):
        assert requests.get(url + path, timeout=60).status_code == 200
    assert requests.get(url + "/readyz", timeout=60).status_code == 503
    endpoint.state = {"state": "ready"}
    assert requests.get(url + "/readyz", timeout=60).status_code == 200


def test_a_redirection_is_not_followed() -> None:
    """The signature of a wake-up is for one address."""
    app = Flask("redirecting")
    app.add_url_rule("/a", "a", methods=["POST"], view_func=lambda: redirect("/b", 308))
    app.add_url_rule("/b", "b", methods=["POST"], view_func=lambda: ("", 202))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    signer = Signer(new_secret(), lambda *_: True)
    with requests.Session() as session:
        assert post_wake_up(session, f"{url}/b", signer) == ""
        assert post_wake_up(session, f"{url}/a", signer) == (
            f"The Cat Checker at {url}/a refused a wake-up: HTTP 308."
        )
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("dispatch", "woken"), [("thread", {"this process"}), ("off", set()), ("celery", {"workers"})]
)
@pytest.mark.parametrize("database", [False, True], ids=["SQLite", "PostgreSQL"])
def test_an_upload_wakes_the_checkers_of_the_settings_and_those_that_listen_to_the_database(
    dispatch: str, woken: set[str], *, database: bool
) -> None:
    names = ["this process", "workers", "listeners"]
    called = {name: threading.Event() for name in names}

    def send(name: str) -> str:
        called[name].set()
        return ""

    settings = Settings().with_changes(dispatch=dispatch, broker_url="redis://127.0.0.1")
    dispatcher = choose_dispatcher(
        settings,
        Signer(new_secret(), lambda *_: True),
        called["this process"].set if dispatch == "thread" else None,
        partial(send, "listeners") if database else None,
        partial(send, "workers") if dispatch == "celery" else None,
    )
    dispatcher.wake()
    expected = woken | ({"listeners"} if database else set())
    assert all(called[name].wait(60) for name in expected)
    dispatcher.close()
    assert {name for name in names if called[name].is_set()} == expected
    assert "dispatch" not in [thread.name for thread in threading.enumerate()]


def test_a_command_without_a_checker_wakes_none() -> None:
    dispatcher = choose_dispatcher(
        Settings(dispatch="thread"), Signer(new_secret(), lambda *_: True), None, None, None
    )
    assert isinstance(dispatcher, Off)
    dispatcher.wake()
    dispatcher.close()


def test_a_redirection_to_an_invalid_address_is_reported_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with requests.Session() as session:
            sent = pool.submit(post_wake_up, session, url, Signer(new_secret(), lambda *_: True))
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 302 F\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n")
                assert sent.result(60).startswith(f"The Cat Checker at {url} redirects to an address that")
