"""The log of a real site: JSON lines with ids of requests and photos, and without secrets."""

from __future__ import annotations

import base64
import json
import re
import secrets
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import make_url

from tests.support.serving import Serving, form_token, plain_session, registered, serving
from tests.support.site import PASSWORD, jpeg

_TIMEOUT_S = 60
_BY_A_PROXY = {"X-Request-Id": "proxy-0123456789", "X-Forwarded-For": "192.0.2.1"}


def _lines(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines(keepends=True) if line.endswith("\n")]


def _wait_for_access_line(site: Serving, path: str, status: int) -> None:
    """Wait for the access line, which is written after the response was sent."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline_s:
        if any((line.get("path"), line.get("status")) == (path, status) for line in _lines(site.log)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no access line of {path} with the status {status}: {site.log}")


def _upload(site: str, session: requests.Session, name: str, data: bytes) -> requests.Response:
    form = {"csrf_token": form_token(session, site + "/upload")}
    return session.post(site + "/upload", data=form, files={"photos": (name, data)}, timeout=_TIMEOUT_S)


def _shared(site: str, session: requests.Session, id: int) -> str:
    """Make a link that shares the photo; return its token."""
    form = {"csrf_token": form_token(session, f"{site}/photos/{id}")}
    html = {"Accept": "text/html"}
    page = session.post(f"{site}/photos/{id}/share", data=form, headers=html, timeout=_TIMEOUT_S).text
    token = re.search(r"/s/([\w-]+)", page)
    assert token, page
    return token[1]


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)  # whose address has a password
def test_every_line_is_json_and_no_line_has_a_secret(empty_url: str, tmp_path: Path) -> None:
    hidden = {name: f"secret-{secrets.token_hex(12)}" for name in ("metrics", "key", "database", "query")}
    webhook = base64.b64encode(secrets.token_bytes(32)).decode()
    settings: dict[str, object] = {
        "CATLOADER_LOG_FORMAT": "json",
        "CATLOADER_ACCESS_LOG": "true",
        "CATLOADER_METRICS_TOKEN": hidden["metrics"],
        "CATLOADER_SECRET_KEY": hidden["key"],
        "CATCHECK_WEBHOOK_SECRET": f"whsec_{webhook}",
        "CATCHECK_DISPATCH": "internal",
        "CATLOADER_NO_SUCH_SETTING": "1",
        "CATCHECKER_PORT": "tcp://10.96.0.12:8001",
    }
    url = make_url(empty_url).set(password=hidden["database"])
    settings["DATABASE_URL"] = url.render_as_string(hide_password=False)
    with serving(tmp_path, **settings) as site:
        session = registered(site.url)
        id = int(_upload(site.url, session, "a.jpg", jpeg()).json()["files"][0]["id"])
        assert _upload(site.url, session, "b.jpg", b"no photo").status_code == 415
        token = _shared(site.url, session, id)
        stranger = plain_session()
        assert stranger.get(f"{site.url}/s/{token}/photo.jpg", timeout=_TIMEOUT_S).ok
        assert stranger.get(f"{site.url}/s/{token}/nothing", timeout=_TIMEOUT_S).status_code == 404
        query = f"{site.url}/login?password={hidden['query']}"
        untrusted = stranger.get(query, headers=_BY_A_PROXY, timeout=_TIMEOUT_S)
        wrong = {"csrf_token": form_token(stranger, site.url + "/login"), "email": "a@example.org"}
        stranger.post(site.url + "/login", data=wrong | {"password": PASSWORD}, timeout=_TIMEOUT_S)
        bearer = {"Authorization": f"Bearer {hidden['metrics']}"}
        assert stranger.get(site.url + "/metrics", headers=bearer, timeout=_TIMEOUT_S).ok
        session.get(site.url + "/metrics", headers={"Authorization": "Bearer wrong"}, timeout=_TIMEOUT_S)
        # The main process is stopped too. Otherwise it might restart the silent object store in time.
        object_store = site.object_store()
        site.process.send_signal(signal.SIGSTOP)
        object_store.send_signal(signal.SIGSTOP)
        failed = stranger.get(
            f"{site.url}/s/{token}/photo.jpg", headers={"Accept": "text/html"}, timeout=_TIMEOUT_S
        )
        assert failed.status_code == 503
        _wait_for_access_line(site, "/s/***/photo.jpg", 503)
        cookies = [str(cookie.value) for cookie in (*session.cookies, *stranger.cookies)]
        address, key_id, key = json.loads((tmp_path / "object-store.json").read_text())
        site.process.kill()
        site.process.wait()
        log = site.log
    lines = _lines(log)
    all_secrets = [PASSWORD, webhook, token, key_id, key, wrong["csrf_token"], *hidden.values(), *cookies]
    assert [secret for secret in all_secrets if secret in log] == []
    assert len(cookies) >= 2
    assert any(address in line.get("message", "") for line in lines), "the outage is not in the log"
    requests_seen = [line for line in lines if line.get("logger") == "access"]
    access = {(line["method"], line["path"], line["status"]): line for line in requests_seen}
    assert access["POST", "/upload", 201]["photo_ids"] == [id]
    assert ("GET", "/s/***/photo.jpg", 200) in access
    assert ("GET", "/login", 200) in access
    own_id = untrusted.headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{16}", own_id), "the id of a proxy that is not trusted was kept"
    assert own_id in {line["request_id"] for line in requests_seen}
    failure = access["GET", "/s/***/photo.jpg", 503]
    assert failed.headers["X-Request-Id"] == failure["request_id"]
    assert f"request {failure['request_id']}" in failed.text
    messages = [
        line["message"]
        for line in lines
        if line.get("request_id") == failure["request_id"] and "message" in line
    ]
    assert messages, "no message in the log belongs to the failed request"
