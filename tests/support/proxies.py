"""nginx and Caddy with the configurations of docs/proxies.md, on a free port of loopback."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from catloader.demo.client import free_port

HOST = "cats.example.org"
_ROOT = Path(__file__).resolve().parents[2]
_DOCUMENT, _FLEET = _ROOT / "docs/proxies.md", _ROOT / "deploy/nginx.conf"
_NGINX = """\
{user}daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{example}
}}
"""


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


def example(heading: str) -> str:
    """Return the code block below a heading of the document."""
    text = _DOCUMENT.read_text("utf-8").split(f"\n## {heading}\n", 1)[1]
    return text.split("```", 2)[1].partition("\n")[2]


@contextmanager
def running_proxy(heading: str, site_url: str, folder: Path, *, body_limit: str = "0") -> Iterator[int]:
    """Run the proxy that the document configures under ``heading`` in front of the site; yield its port.

    Args:
        body_limit: nginx refuses larger bodies; "0": it has no limit.
    """
    port, (certificate, key) = free_port(), _certificate(folder)
    config = folder / "config"
    text = example(heading).replace("127.0.0.1:8000", site_url.removeprefix("http://"))
    if heading.startswith("nginx"):
        text = re.sub(r"listen 443", f"listen 127.0.0.1:{port}", text)
        text = text.replace("client_max_body_size 0", f"client_max_body_size {body_limit}")
        text = re.sub(r"ssl_certificate .*;", f"ssl_certificate {certificate};", text)
        text = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", text)
        command = _nginx(folder, text)
    else:
        own = "{\n admin off\n auto_https disable_redirects\n}\n"
        own += f"{HOST}:{port} {{\n tls {certificate} {key}\n"
        config.write_text(text.replace(f"{HOST} {{\n", own))
        command = [program("caddy") or "caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
    with _running(command, folder, port):
        yield port


@contextmanager
def running_balancer(site_urls: Sequence[str], folder: Path) -> Iterator[str]:
    """Run ``deploy/nginx.conf`` in front of the sites, in round-robin; yield its address.

    ``ip_hash`` is removed: all clients here have the same address, so it would send all of them to one site.
    """
    port = free_port()
    text = _FLEET.read_text("utf-8").replace("listen 8000", f"listen 127.0.0.1:{port}")
    for number, url in enumerate(site_urls, 1):
        text = text.replace(f"server web{number}:8000", f"server {url.removeprefix('http://')}")
    text = re.sub(r"\n *ip_hash;.*", "", text)
    with _running(_nginx(folder, text), folder, port):
        yield f"http://127.0.0.1:{port}"


def _nginx(folder: Path, sites: str) -> list[str]:
    """Write the configuration of nginx; return the command that runs nginx."""
    # If nginx starts as root, its workers change to another user, who can't write to the folder.
    user = "user root; " if os.geteuid() == 0 else ""
    (folder / "config").write_text(_NGINX.format(folder=folder, example=sites, user=user))
    return [program("nginx") or "nginx", "-p", str(folder), "-c", str(folder / "config")]


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    homes = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **homes}, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "log")
        yield
    finally:
        process.terminate()
        process.wait(60)


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1",
         "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    waiting = threading.Event()
    for _ in range(1200):  # a minute
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            waiting.wait(0.05)
        else:
            return
    raise AssertionError(log.read_text())
