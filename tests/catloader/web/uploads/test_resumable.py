"""Resumable uploads in pieces (tus 1.0), with the whole site."""

from __future__ import annotations

import io
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import Engine, select, update

from catloader.errors import UploadsBusy
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import upload_keys
from catloader.web.uploads.admission import RULES
from tests.support.programs import Program, assert_problem, token_of
from tests.support.site import PASSWORD, Person, jpeg, services_of
from tests.support.tus import PATH, Tus

PHOTO = jpeg(size=(400, 300))
_KEY = "a" * 32


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"max_file_bytes": 100_000, "uploads_at_once": 2}


@pytest.fixture
def tus(anna: Person) -> Tus:
    return Tus(anna)


def _folder(anna: Person) -> Path:
    return services_of(anna.app).settings.data_dir / "partial-uploads" / str(anna.id)


def test_a_file_in_pieces_becomes_a_photo(anna: Person, tus: Tus) -> None:
    begun = tus.begin(len(PHOTO), filename="Kätzchen.jpg", caption="Tom")
    path = begun.headers["Location"]
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "0")
    first = tus.patch(path, 0, PHOTO[:1000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1000")
    state = tus.send("HEAD", path)
    assert (state.status_code, state.headers["Upload-Length"]) == (200, str(len(PHOTO)))
    assert (state.headers["Upload-Offset"], state.headers["Cache-Control"]) == ("1000", "no-store")
    assert state.headers["Upload-Expires"].endswith("GMT")
    caption = f"caption {b64encode(b'Tom & Jerry').decode()}"  # the owner has changed the caption meanwhile
    last = tus.patch(path, 1000, PHOTO[1000:], Upload_Metadata=caption)
    (photo,) = anna.photos
    assert (last.status_code, last.headers["Photo-Id"], photo.caption) == (204, str(photo.id), "Tom & Jerry")
    assert list(_folder(anna).iterdir()) == []
    assert anna.upload_one(PHOTO) != photo.id
    assert anna.photos[0].sha256 == photo.sha256
    assert tus.begin(len(PHOTO), PHOTO).headers["Duplicate-Of"] == str(photo.id)


def test_a_post_can_replace_a_method_that_a_proxy_refuses(anna: Person, tus: Tus) -> None:
    path = tus.begin(len(PHOTO)).headers["Location"]
    sent = {"X_HTTP_Method_Override": "PATCH"}
    assert tus.send("POST", path, PHOTO[:1000], Upload_Offset="0", **sent).status_code == 204
    assert tus.send("POST", path, PHOTO[1000:], Upload_Offset="1000", **sent).headers["Photo-Id"]
    other = tus.begin(len(PHOTO), key=_KEY).headers["Location"]
    refused = tus.send("POST", other, PHOTO, Upload_Offset="0")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "HEAD, PATCH, DELETE")
    assert tus.send("POST", other, X_HTTP_Method_Override="GET").status_code == 405
    assert tus.send("POST", other, X_HTTP_Method_Override="delete").status_code == 204
    assert tus.send("HEAD", other).status_code == 404


def test_a_repeated_last_piece_gives_the_same_photo(anna: Person, tus: Tus) -> None:
    path = tus.begin(len(PHOTO), PHOTO[:-1], key=_KEY).headers["Location"]
    begun_again = tus.begin(len(PHOTO), PHOTO[:-1], key=_KEY)
    assert begun_again.headers["Location"] == path
    assert begun_again.headers["Upload-Offset"] == str(len(PHOTO) - 1)
    photo = tus.patch(path, len(PHOTO) - 1, PHOTO[-1:]).headers["Photo-Id"]
    for again in (
        tus.patch(path, len(PHOTO) - 1, PHOTO[-1:]),
        tus.patch(path, len(PHOTO), b""),
        tus.send("HEAD", path),
        tus.begin(len(PHOTO), PHOTO, key=_KEY),
    ):
        assert (again.headers["Photo-Id"], again.headers["Upload-Offset"]) == (photo, str(len(PHOTO)))
    assert [str(one.id) for one in anna.photos] == [photo]


def test_a_key_is_free_for_another_file_after_a_day(engine: Engine, anna: Person, tus: Tus) -> None:
    first = tus.begin(len(PHOTO), PHOTO, key=_KEY).headers
    with writing(engine) as connection:
        (made_at,) = connection.execute(select(upload_keys.c.created_at)).one()
        connection.execute(update(upload_keys).values(created_at=made_at - timedelta(days=1, seconds=1)))
    assert tus.send("HEAD", first["Location"]).status_code == 404
    other = jpeg((1, 2, 3), size=(400, 300)).ljust(len(PHOTO), b"\0")
    assert len(other) == len(PHOTO)
    assert tus.begin(len(other), other, key=_KEY).headers["Photo-Id"] != first["Photo-Id"]
    assert len({photo.sha256 for photo in anna.photos}) == 2


def test_a_process_that_died_after_storing_leaves_one_photo(anna: Person, tus: Tus) -> None:
    path = tus.begin(len(PHOTO), PHOTO[:-1]).headers["Location"]
    file = _folder(anna) / path.rpartition("/")[2]
    before = file.read_bytes()
    photo = tus.patch(path, len(PHOTO) - 1, PHOTO[-1:]).headers["Photo-Id"]
    file.write_bytes(before + PHOTO[-1:])
    assert tus.patch(path, len(PHOTO), b"").headers["Photo-Id"] == photo
    assert len(anna.photos) == 1


def test_the_whole_file_in_one_request_needs_no_pieces(anna: Person, tus: Tus) -> None:
    tus.begin(len(PHOTO), PHOTO[:-1], key=_KEY)
    assert "Photo-Id" not in tus.begin(len(PHOTO), PHOTO[:5], key=_KEY).headers
    assert tus.begin(len(PHOTO), PHOTO, key=_KEY).headers["Photo-Id"] == str(anna.photos[0].id)


def test_parallel_parts_of_a_file_are_refused_and_not_taken_for_files(anna: Person, tus: Tus) -> None:
    """tus-js-client sends them with ``parallelUploads``, also to a site that does not offer this."""
    sent = tus.send("POST", PATH, PHOTO, Upload_Length=str(len(PHOTO)), Upload_Concat="partial")
    assert (sent.status_code, "Upload-Concat" in sent.json["error"]) == (400, True)  # type: ignore[index]
    assert anna.photos == []


def test_last_pieces_at_the_same_time_make_one_photo(anna: Person, tus: Tus) -> None:
    path = tus.begin(len(PHOTO), PHOTO[:-1]).headers["Location"]
    together = threading.Barrier(4)
    browsers = [Tus(_same(anna)) for _ in range(4)]

    def send(browser: Tus) -> int:
        together.wait()
        return browser.patch(path, len(PHOTO) - 1, PHOTO[-1:]).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = set(pool.map(send, browsers))
    assert 204 in statuses
    assert statuses <= {204, 423}, statuses
    assert len(anna.photos) == 1


def _same(person: Person) -> Person:
    other = Person(person.app)
    other.email = person.email
    assert other.log_in().status_code == 303
    return other


def test_bytes_that_do_not_fit_are_refused(anna: Person, tus: Tus) -> None:
    path = tus.begin(len(PHOTO)).headers["Location"]
    assert tus.patch(path, 5, b"12345").status_code == 409
    assert tus.patch(path, 0, PHOTO + b"more").status_code == 413
    assert tus.send("PATCH", path, Upload_Offset="0").status_code == 415
    assert tus.send("PATCH", path, b"1", Upload_Offset="zero").status_code == 400
    other = tus.send("PATCH", path, b"1", Tus_Resumable="0.2.2")
    assert (other.status_code, "need tus 1.0.0" in other.text) == (412, True)
    assert tus.offset(path) == 0
    # Files that can never be stored are refused before their bytes are sent.
    assert tus.begin(0).json["error"] == "This file is empty."  # type: ignore[index]
    assert tus.begin(100_001).status_code == 413
    assert tus.send("POST", PATH).status_code == 400
    assert tus.send("POST", PATH, Upload_Length="5", Upload_Metadata="caption *").status_code == 400
    longest, longer = (b64encode(("ä" * chars).encode()).decode() for chars in (500, 501))
    assert tus.send("POST", PATH, Upload_Length="5", Upload_Metadata=f"caption {longest}").status_code == 201
    refused = tus.send("POST", PATH, Upload_Length="5", Upload_Metadata=f"caption {longer}")
    assert (refused.status_code, "longer than 500 characters" in refused.text) == (400, True)
    administration = services_of(anna.app).administration
    anna.upload_one()
    administration.set_quota(anna.id, 1, None, anna.id, utcnow())
    full = tus.begin(len(PHOTO))
    assert (full.status_code, "photo" in full.json["error"]) == (413, True)  # type: ignore[index]


def test_a_refused_file_is_discarded_and_a_busy_site_keeps_it(anna: Person, tus: Tus) -> None:
    text = tus.begin(5, b"hello")
    assert (text.status_code, "not a photo" in text.json["error"]) == (415, True)  # type: ignore[index]
    assert list(_folder(anna).iterdir()) == []
    path = tus.begin(len(PHOTO), PHOTO[:-1], key=_KEY).headers["Location"]
    places = anna.app.extensions["catloader.upload-places"]
    for _ in range(2):
        places.take()
    for _ in range(8):  # so many refusals that uploads no longer wait
        with pytest.raises(UploadsBusy):
            places.refuse()
    busy = tus.patch(path, len(PHOTO) - 1, PHOTO[-1:])
    assert (busy.status_code, int(busy.headers["Retry-After"]) > 0) == (503, True)
    # If the offset were at the end of the file, clients would regard the file as stored.
    assert tus.offset(path) == len(PHOTO) - 1
    assert tus.patch(path, len(PHOTO) - 1, PHOTO[-1:]).status_code == 503
    assert tus.begin(len(PHOTO), key=_KEY).headers["Upload-Offset"] == str(len(PHOTO) - 1)
    for _ in range(2):
        places.leave()
    assert tus.patch(path, len(PHOTO) - 1, PHOTO[-1:]).status_code == 204
    (photo,) = anna.photos
    stored = anna.get(f"/photos/{photo.id}/photo.jpg").data
    assert stored == anna.get(f"/photos/{anna.upload_one(PHOTO)}/photo.jpg").data


def test_terminated_uploads_and_those_of_others_look_like_missing_ones(
    app: Flask, anna: Person, tus: Tus
) -> None:
    path = tus.begin(len(PHOTO), PHOTO[:9]).headers["Location"]
    other = Tus(Person(app, "other@example.org"))
    answers = [
        (one.status_code, one.text.replace(one.headers["X-Request-Id"], ""))
        for where in (path, f"{PATH}/{'0' * 32}-7", f"{PATH}/../secret-key", f"{PATH}/none")
        for one in (other.send("HEAD", where), other.patch(where, 9, PHOTO[9:]), other.send("DELETE", where))
    ]
    assert {status for status, _ in answers} == {404}
    assert tus.send("DELETE", path).status_code == 204
    assert tus.send("HEAD", path).status_code == 404
    for answer in (
        tus.send("POST", PATH, Upload_Length="5", X_CSRFToken=""),
        tus.patch(path, 0, b"1", X_CSRFToken=""),
        tus.send("DELETE", path, X_CSRFToken=""),
    ):
        assert (answer.status_code, answer.json["expired"]) == (400, True)  # type: ignore[index]


def test_options_are_listed_and_uploads_are_deleted_with_their_account(anna: Person, tus: Tus) -> None:
    options = anna.app.test_client().options(PATH)
    assert (options.status_code, options.headers["Tus-Version"]) == (204, "1.0.0")
    assert options.headers["Tus-Max-Size"] == "100000"
    assert "creation" in options.headers["Tus-Extension"]
    tus.begin(1000, b"x")
    folder = _folder(anna)
    assert len(list(folder.iterdir())) == 1
    anna.post("/account/delete", {"password": PASSWORD}, page="/account")
    assert list(folder.iterdir()) == []


def test_a_program_uploads_in_pieces_with_its_token(app: Flask, anna: Person) -> None:
    eve = Person(app, "eve@example.org")
    writes, reads = (Program(app, token_of(app, anna, scope)) for scope in ("photos:write", "photos:read"))
    tus = {"Tus-Resumable": "1.0.0"}
    begin = {**tus, "Upload-Length": str(len(PHOTO)), "Idempotency-Key": _KEY}
    begun = writes.send("POST", PATH, begin)
    path, piece = begun.headers["Location"], {**tus, "Content-Type": "application/offset+octet-stream"}
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "0")
    assert_problem(reads.send("POST", PATH, begin), 403)
    assert_problem(Program(app, "invented").send("POST", PATH, begin), 401)
    others = Program(app, token_of(app, eve)).send("HEAD", path, tus)
    assert others.status_code == 404
    first = writes.send("PATCH", path, {**piece, "Upload-Offset": "0"}, data=PHOTO[:1000])
    assert first.headers["Upload-Offset"] == "1000"
    assert_problem(writes.send("PATCH", path, {**piece, "Upload-Offset": "0"}, data=PHOTO), 409)
    last = writes.send("PATCH", path, {**piece, "Upload-Offset": "1000"}, data=PHOTO[1000:])
    assert last.headers["Photo-Id"] == str(anna.photos[0].id)
    # A request with a session cookie and without a form token is refused, even with an API token.
    assert anna.client.post(PATH, headers={**begin, "Authorization": "Basic YTpi"}).status_code == 400


def test_a_token_that_a_proxy_adds_to_the_requests_of_a_browser_is_ignored(anna: Person, tus: Tus) -> None:
    of_proxy = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"}
    path = tus.send("POST", PATH, None, Upload_Length=str(len(PHOTO)), **of_proxy).headers["Location"]
    assert tus.patch(path, 0, PHOTO, **of_proxy).headers["Photo-Id"] == str(anna.photos[0].id)
    without_form_token = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", **of_proxy}
    assert anna.client.post(PATH, headers=without_form_token).status_code == 400
    assert_problem(Program(anna.app).send("POST", PATH, without_form_token), 401)


def test_a_large_piece_is_buffered_only_for_a_token_of_this_site(app: Flask, anna: Person) -> None:
    rules = app.extensions[RULES]
    for token, is_more in ((token_of(app, anna), True), ("invented", False)):
        for method in ("PATCH", "POST"):  # POST may replace PATCH
            limit_bytes = rules.body_bytes(method, f"{PATH}/x", {"AUTHORIZATION": f"Bearer {token}"})
            assert (limit_bytes > 100_000) is is_more


def test_the_thumbnail_shows_the_square_chosen_before_the_upload(anna: Person, tus: Tus) -> None:
    halves = Image.new("RGB", (400, 200), (250, 0, 0))
    halves.paste((0, 0, 250), (200, 0, 400, 200))
    file = io.BytesIO()
    halves.save(file, "JPEG", quality=95)
    data = file.getvalue()
    assert tus.begin(len(data), square="0,0").status_code == 400
    path = tus.begin(len(data), data[:100], square="0.5,0,0.5").headers["Location"]
    tus.patch(path, 100, data[100:])
    (photo,) = anna.photos
    assert (photo.crop_left_px, photo.crop_top_px, photo.crop_side_px) == (200, 0, 200)
    thumbnail = Image.open(io.BytesIO(anna.get(f"/photos/{photo.id}/thumbnail.jpg").data))
    red, _, blue = thumbnail.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert blue > 200 > red
