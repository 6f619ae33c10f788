"""The site as an app on a phone: its manifest, and a share without a service worker."""

from __future__ import annotations

import io

from flask import Flask
from PIL import Image

from tests.support.databases import ON_SQLITE
from tests.support.site import Person, jpeg

pytestmark = ON_SQLITE


def test_manifest_names_what_the_site_serves(app: Flask) -> None:
    visitor = Person(app)
    answer = visitor.get("/site.webmanifest")
    assert answer.mimetype == "application/manifest+json"
    assert "max-age" in answer.headers["Cache-Control"]
    manifest = answer.get_json(force=True)
    for icon in manifest["icons"]:
        with visitor.get(icon["src"]) as file, Image.open(io.BytesIO(file.data)) as image:
            assert f"{image.width}x{image.height}" == icon["sizes"]
    with visitor.get("/upload/share-worker.js") as worker:
        assert worker.mimetype == "text/javascript"
    assert manifest["share_target"]["params"]["files"][0]["name"] == "photos"
    # A proxy that logs people in needs their cookies for the manifest, too.
    assert (
        '<link rel="manifest" href="/site.webmanifest" crossorigin="use-credentials">'
        in visitor.get("/login").text
    )


def test_share_without_a_service_worker_stores_nothing_and_says_so(app: Flask) -> None:
    anna = Person(app, "anna@example.org")
    target = anna.get("/site.webmanifest").get_json(force=True)["share_target"]["action"]
    answer = anna.client.post(target, data={"photos": (io.BytesIO(jpeg()), "a.jpg")})
    assert (answer.status_code, answer.location) == (303, "/upload")
    assert "Your photos did not arrive. Please share them again." in anna.get("/upload").text
    assert anna.photos == []
