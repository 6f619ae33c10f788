"""Caching and compression of the static files.

Pages link to style sheets, icons and other files with a version in the address, so a browser caches these
files without asking again. Scripts import each other by name, so their addresses have no version, and a
browser asks each time whether they have changed.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, request
from werkzeug.wrappers import Response

_WITHOUT_VERSION = ".js"
_COMPRESSED = (".css", ".js", ".svg")
_FOR_EVER = "public, max-age=31536000, immutable"
_MOST_FILES = 128
"""Size of the cache: about 10 kB of memory for each file, for the original and the compressed content."""


def init_app(app: Flask) -> None:
    files = [file for file in Path(app.static_folder or "").iterdir() if file.suffix != _WITHOUT_VERSION]
    versions = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in files}

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and values["filename"] in versions:
            values["v"] = versions[values["filename"]]

    @app.after_request
    def cache_and_compress(response: Response) -> Response:
        if request.endpoint != "static" or response.status_code not in (200, 304):
            return response
        name = (request.view_args or {})["filename"]
        if name in versions and request.args.get("v") == versions[name]:
            response.headers["Cache-Control"] = _FOR_EVER
        if name.endswith(_COMPRESSED):
            response.vary.add("Accept-Encoding")
            if response.status_code == 200 and request.accept_encodings["gzip"]:
                _compress(response)
        return response


def _compress(response: Response) -> None:
    """Compress the body. The ETag becomes weak, because both encodings share it."""
    tag, _ = response.get_etag()
    response.direct_passthrough = False
    response.set_data(_gzipped(response.get_data()))
    response.headers["Content-Encoding"] = "gzip"
    if tag:
        response.set_etag(tag, weak=True)


@lru_cache(_MOST_FILES)
def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)
