"""Photos and thumbnails that are sent to browsers."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image, ImageChops, ImageStat

from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import delete_object
from tests.support.site import Person, jpeg, running_site, services_of

_MADE_OF = {"thumbnail": ObjectKind.THUMBNAIL, "thumbnail-2x": ObjectKind.PHOTO}


@pytest.mark.parametrize("name", _MADE_OF)
def test_missing_objects_are_one_line_in_the_log(
    s3_server: EmbeddedS3,
    objects: ObjectStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    kind = _MADE_OF[name]
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    with running_site(engine, s3_server, objects, tmp_path) as app:
        anna = Person(app, "anna@example.org")
        id = anna.upload_one()
        photo = services_of(app).photos.by_id(id)
        assert photo
        key = photo.thumbnail_key if kind == ObjectKind.THUMBNAIL else photo.photo_key
        delete_object(services_of(app).objects, kind, key)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert anna.get(f"/photos/{id}/{name}.jpg").status_code == 404
    engine.dispose()
    missing = [message for message in caplog.messages if "is not in the object store" in message]
    assert missing == [f"/photos/{id}/{name}.jpg: the {kind} is not in the object store"]


def test_high_density_screens_get_the_square_in_twice_the_size(app: Flask, anna: Person) -> None:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((1600, 900)).convert("RGB").save(file, "JPEG")
    large, small = anna.upload_one(file.getvalue()), anna.upload_one(jpeg(size=(300, 200)))
    page = anna.get("/photos").text
    (srcset,) = re.findall(r'srcset="([^"]+)"', page)
    assert srcset == f"/photos/{large}/thumbnail.jpg 320w, /photos/{large}/thumbnail-2x.jpg 640w"
    sharp = anna.get(f"/photos/{large}/thumbnail-2x.jpg")
    assert "Set-Cookie" not in sharp.headers
    with Image.open(io.BytesIO(sharp.data)) as image:
        assert image.size == (640, 640)
        with Image.open(io.BytesIO(anna.get(f"/photos/{large}/thumbnail.jpg").data)) as stored:
            apart = ImageStat.Stat(ImageChops.difference(image.resize(stored.size), stored)).extrema
    assert max(high for _, high in apart) < 16
    again = anna.get(f"/photos/{large}/thumbnail-2x.jpg", **{"If-None-Match": sharp.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    with Image.open(io.BytesIO(anna.get(f"/photos/{small}/thumbnail-2x.jpg").data)) as image:
        assert image.size == (200, 200), "the thumbnail was scaled up"


@pytest.mark.parametrize("name", ["photo", "thumbnail", "thumbnail-2x"])
def test_a_head_request_for_a_photo_does_not_state_a_length_of_0(app: Flask, anna: Person, name: str) -> None:
    path = f"/photos/{anna.upload_one(jpeg(size=(900, 900)))}/{name}.jpg"
    head, whole = anna.client.head(path), anna.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers.get("Content-Length") in (None, whole.headers["Content-Length"])


def test_another_square_is_another_high_density_thumbnail(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(jpeg(size=(900, 900)))
    before = anna.get(f"/photos/{photo}/thumbnail-2x.jpg").headers["ETag"]
    anna.post(f"/photos/{photo}/square", {"left": "0", "top": "0", "side": "500"})
    answer = anna.get(f"/photos/{photo}/thumbnail-2x.jpg", **{"If-None-Match": before})
    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.data)) as image:
        assert image.size == (500, 500)


def test_while_another_thumbnail_is_being_cut_the_stored_one_is_sent(app: Flask, anna: Person) -> None:
    photo = anna.upload_one(jpeg(size=(900, 900)))
    assert anna.get(f"/photos/{photo}/thumbnail-2x.jpg").status_code == 200
    with app.extensions["catloader.cutting"]:
        answer = anna.get(f"/photos/{photo}/thumbnail-2x.jpg")
    assert answer.data == anna.get(f"/photos/{photo}/thumbnail.jpg").data
    assert answer.headers["Cache-Control"] == "private, no-store"
