"""Minimal wheels and a package index on loopback, for tests of the installation."""

from __future__ import annotations

import hashlib
import re
import threading
import zipfile
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


def make_wheel(folder: Path, name: str, version: str, needs: Sequence[str] = ()) -> Path:
    """Write a wheel that contains only its metadata."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    files = {
        "METADATA": "\n".join(["Metadata-Version: 2.1", *metadata, ""]),
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "".join(f"{info}/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{info}/{file}", text)
    return path


def locked(wheel: Path) -> str:
    """Return a line of a requirements file: the version and the hash."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class PackageIndex:
    """Serves each folder of ``root`` as a package index (PEP 503) at ``url(folder)``.

    Folders in ``silent`` accept connections and send no data.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.silent: set[str] = set()
        self.requests: list[str] = []
        self._closing = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, folder: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{folder}"

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        folder, name = unquote(request.path).strip("/").split("/", 1)
        if folder in self.silent:
            self._closing.wait()
            return
        wheels = [wheel for wheel in (self.root / folder).glob("*.whl") if _project(wheel) == name]
        file = self.root / folder / name
        if file.is_file():
            _send(request, "application/octet-stream", file.read_bytes())
        elif wheels:
            links = "".join(f'<a href="../{wheel.name}">{wheel.name}</a>' for wheel in wheels)
            _send(request, "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode())
        else:
            request.send_error(404)


def _project(wheel: Path) -> str:
    return re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()


def _send(request: BaseHTTPRequestHandler, content_type: str, body: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
