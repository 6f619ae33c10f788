"""Servers whose certificate comes from the operator's own authority, which ``SSL_CERT_FILE`` names."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from catloader.checks.dispatch import post_wake_up, wake_up_session
from catloader.checks.signatures import Signer, new_secret
from catloader.client import Client, RequestFailed
from catloader.errors import ProviderUnavailable
from catloader.oidc.provider import Provider
from catloader.webhooks.target import Target

_NOT_TRUSTED = "no trusted certificate, or no TLS"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a server whose self-signed certificate ``own.pem`` is not trusted yet."""
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


@pytest.fixture
def proxy(url: str) -> Iterator[str]:
    """Yield the address of a proxy whose tunnels all lead to that server."""
    target = ("127.0.0.1", int(url.rpartition(":")[2]))

    class Tunnel(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            with socket.create_connection(target) as server:
                self.send_response(HTTPStatus.OK)
                self.end_headers()
                back = threading.Thread(target=_copy, args=(server, self.connection))
                back.start()
                _copy(self.connection, server)
                back.join()
            self.close_connection = True

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Tunnel) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


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
    client = Client(url, "token", tries=1)
    try:
        client.delete(1)
    except RequestFailed as error:
        return str(error)
    finally:
        client.close()
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


def test_certificates_that_ssl_cert_file_names_are_trusted_through_a_proxy_too(
    proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies of many companies give every server a certificate of the company's authority."""
    for variable in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert _NOT_TRUSTED in _api("https://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    assert _api("https://127.0.0.1:9") == ""


def test_requests_ca_bundle_wins_over_ssl_cert_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    shutil.copy(DEFAULT_CA_BUNDLE_PATH, tmp_path / "others.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    assert _NOT_TRUSTED in _api(url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "own.pem"))
    assert _api(url) == ""


def test_a_provider_with_a_certificate_that_ssl_cert_file_names_is_trusted(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for trusted in (False, True):
        caplog.clear()
        with pytest.raises(ProviderUnavailable):  # this server sends no metadata
            Provider(url, "client", "", f"{url}/callback", "ID").examine()
        assert (_NOT_TRUSTED in caplog.text) is not trusted
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_missing_file_of_authorities_is_named(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str
) -> None:
    """As in a container that has the variable of its host, but not the file."""
    monkeypatch.setenv(variable, "/nowhere/own.pem")
    sentence = "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is missing"
    assert _api(url) == f"{url} does not answer: {sentence}."
    with pytest.raises(ProviderUnavailable):
        Provider(url, "client", "", f"{url}/callback", "ID").examine()
    assert sentence in caplog.text
