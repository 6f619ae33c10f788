"""Static files: browsers keep them if the address has a version, and they are compressed."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask

from tests.support.databases import ON_SQLITE
from tests.support.site import Person

pytestmark = ON_SQLITE


def test_pages_name_files_with_versions_that_browsers_keep(app: Flask) -> None:
    page = Person(app).get("/login").text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+\.(?:css|svg|png)[^"]*)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        with Person(app).get(address) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", address


@pytest.mark.parametrize("address", ["/static/site.css", "/static/site.css?v=0123", "/static/forms.js?v="])
def test_files_without_a_valid_version_are_revalidated(app: Flask, address: str) -> None:
    with Person(app).get(address) as answer:
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["site.css", "forms.js", "hero.svg"])
def test_text_files_are_compressed_for_clients_that_accept_gzip(app: Flask, name: str) -> None:
    content = (Path(app.static_folder or "") / name).read_bytes()
    with Person(app).get(f"/static/{name}", **{"Accept-Encoding": "br, gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == content
        assert len(packed.data) == int(packed.headers["Content-Length"]) < len(content) / 2
        assert "Accept-Encoding" in packed.headers["Vary"]
    with Person(app).get(f"/static/{name}", **{"Accept-Encoding": "gzip;q=0"}) as plain:
        assert plain.data == content
        assert "Accept-Encoding" in plain.headers["Vary"]
    for answer in (packed, plain):
        headers = {"If-None-Match": answer.headers["ETag"], "Accept-Encoding": "gzip"}
        with Person(app).get(f"/static/{name}", **headers) as again:
            assert again.status_code == 304
            assert again.data == b""


def test_ranges_icons_and_missing_files_are_not_compressed(app: Flask) -> None:
    for path, status in (("icon-192.png", 200), ("nothing.css", 404), ("../templates/base.html", 404)):
        with Person(app).get(f"/static/{path}", **{"Accept-Encoding": "gzip"}) as answer:
            assert (answer.status_code, answer.headers.get("Content-Encoding")) == (status, None), path
    with Person(app).get("/static/site.css", **{"Accept-Encoding": "gzip", "Range": "bytes=0-4"}) as part:
        assert (part.status_code, part.data) == (206, b":root")
