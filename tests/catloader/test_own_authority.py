"""Servers with a certificate of an authority of the operator's own, which ``SSL_CERT_FILE`` names."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from catloader.checks.dispatch import post_wake_up, wake_up_session
from catloader.checks.signatures import Signer, new_secret
from catloader.client import Client, RequestFailed
from catloader.errors import ProviderUnavailable
from catloader.oidc.provider import Provider
from catloader.webhooks.target import Target

_NOT_TRUSTED = "no trusted certificate, or no TLS"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a server with a certificate of its own, ``own.pem``; no authority is named."""
    key, certificate = tmp_path / "key.pem", tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Empty(BaseHTTPRequestHandler):
    def do_DELETE(self) -> None:
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(HTTPStatus.ACCEPTED)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


def _wake_up(url: str) -> str:
    with wake_up_session() as session:
        return post_wake_up(session, url, Signer(new_secret(), lambda *_: True))


def _api(url: str) -> str:
    try:
        Client(url, "token", tries=1).delete(1)
    except RequestFailed as error:
        return str(error)
    return ""


def _webhook(url: str) -> str:
    return Target(url, allow_private=True).post("{}", {})[1]


@pytest.mark.parametrize("use", [_wake_up, _api, _webhook])
def test_certificates_that_ssl_cert_file_names_are_trusted(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[str], str]
) -> None:
    assert _NOT_TRUSTED in use(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    assert use(url) == ""


def test_provider_with_a_certificate_that_ssl_cert_file_names_is_asked(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for trusted in (False, True):
        caplog.clear()
        with pytest.raises(ProviderUnavailable):  # this server sends no metadata
            Provider(url, "client", "", f"{url}/callback", "ID").examine()
        assert (_NOT_TRUSTED in caplog.text) is not trusted
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
