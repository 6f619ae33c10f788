"""The upload form: browsers send all files at once, or the script sends one file per request."""

from __future__ import annotations

import io
import logging
import re
from base64 import b64encode
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import Engine
from urllib3.filepost import encode_multipart_formdata

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.hostile import HostileCorpus
from tests.support.programs import Program, token_of
from tests.support.site import Person, jpeg, running_site, services_of
from tests.support.tus import Tus


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"max_file_bytes": 100_000, "max_files": 4, "decode_slots": 3, "decode_queue": 0}


def _photos(anna: Person) -> int:
    return services_of(anna.app).photos.count_by_owner().get(anna.id, 0)


def test_upload_redirects_to_my_photos(anna: Person) -> None:
    answer = anna.upload(("one.jpg", jpeg()), ("two.jpg", jpeg()), caption="On the sofa")
    assert (answer.status_code, answer.location) == (303, "/photos")
    page = anna.get("/photos").text
    assert "Your 2 photos are stored." in page
    assert page.count('class="caption" dir="auto">On the sofa<') == 2
    assert page.count(">Waiting<") == 2


def test_bad_file_does_not_affect_the_others(anna: Person) -> None:
    answer = anna.upload(
        ("good.jpg", jpeg()),
        ("cat.jpg", b"this is a text"),
        ("half.jpg", jpeg(size=(900, 900))[:2000]),
        ("empty.jpg", b""),
    )
    assert answer.status_code == 422
    assert "1 of 4 photos stored" in answer.text
    assert answer.text.count('class="reason"') == 3
    assert _photos(anna) == 1


def test_one_request_per_file_gets_json(anna: Person) -> None:
    stored = anna.upload(("good.jpg", jpeg()), Accept="application/json")
    assert stored.status_code == 201
    (file,) = stored.json["files"]  # type: ignore[index]
    assert file | {"id": 0} == {"name": "good.jpg", "id": 0, "error": None, "status": 201}
    refused = anna.upload(("cat.jpg", b"this is a text"), Accept="application/json")
    assert refused.status_code == 415
    (file,) = refused.json["files"]  # type: ignore[index]
    assert (file["id"], file["status"]) == (None, 415)
    assert file["error"].endswith(".")


def test_script_sends_its_token_as_a_header(anna: Person) -> None:
    token = anna.token("/upload")
    for headers, status in (({"X-CSRFToken": token}, 201), ({}, 400)):
        answer = anna.client.post(
            "/upload",
            data={"photos": (io.BytesIO(jpeg()), "a.jpg")},
            headers={"Accept": "application/json", **headers},
        )
        assert answer.status_code == status


def test_captions_are_stored(anna: Person) -> None:
    parts = [(io.BytesIO(jpeg()), name) for name in ("a.jpg", "b.jpg")]
    anna.post("/upload", {"photos": parts, "caption": ["first <b>", "second"]})
    second, first = anna.photos
    assert (first.caption, second.caption) == ("first <b>", "second")
    assert "first &lt;b&gt;" in anna.get(f"/photos/{first.id}").text
    refused = anna.upload(("a.jpg", jpeg()), caption="x" * 501)
    assert (refused.status_code, "longer than 500" in refused.text) == (400, True)


def test_form_without_files_is_refused(anna: Person) -> None:
    # Browsers send this for two file fields that were left empty.
    empty = [(io.BytesIO(b""), ""), (io.BytesIO(b""), "")]
    answer = anna.post("/upload", {"photos": empty})
    assert (answer.status_code, "Choose at least one photo" in answer.text) == (400, True)
    answer = anna.post("/upload", {}, Accept="application/json")
    assert (answer.status_code, answer.json["files"]) == (400, [])  # type: ignore[index]


def test_oversized_and_surplus_files_are_refused(anna: Person) -> None:
    answer = anna.upload(("big.bmp", b"BM" + bytes(100_000)), ("good.jpg", jpeg()))
    assert (answer.status_code, "1 of 2 photos stored" in answer.text) == (413, True)
    answer = anna.upload(*[(f"{n}.jpg", jpeg()) for n in range(5)])
    assert (answer.status_code, "4 of 5 photos stored" in answer.text) == (413, True)


def test_oversized_request_is_refused(anna: Person) -> None:
    answer = anna.upload(*[("big.jpg", bytes(98_000)) for _ in range(5)])
    assert answer.status_code == 413
    assert "up to 4 photos" in answer.text
    assert "<h1>" in answer.text
    # A form without files has a much lower limit.
    answer = anna.post("/logout", {"more": "x" * 70_000}, page="/account")
    assert answer.status_code == 413


def test_upload_without_log_in_is_not_read(app: Flask) -> None:
    class Untouched(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            raise AssertionError("somebody read it")

    answer = app.test_client().post(
        "/upload",
        # Without a length the server does not drain the body, so only the form parser could read it.
        environ_overrides={"wsgi.input": Untouched(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        content_type="multipart/form-data; boundary=x",
    )
    assert (answer.status_code, answer.location) == (303, "/login")


@pytest.mark.parametrize(
    "_migrated", ["sqlite"], indirect=True
)  # file names are not stored, so one database is enough
def test_hostile_file_names_are_escaped_everywhere(
    anna: Person, hostile_corpus: HostileCorpus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    token = anna.token("/upload")
    assert len(hostile_corpus.names) > 20
    for name in hostile_corpus.names:
        for content, statuses in ((jpeg(), {201, 303}), (b"not a photo", {415})):
            for accept in ("text/html", "application/json"):
                answer = anna.client.post(
                    "/upload",
                    data=_multipart(name, content),
                    content_type="multipart/form-data; boundary=frontier",
                    headers={"Accept": accept, "X-CSRFToken": token},
                )
                assert answer.status_code in statuses, name
                assert b"<script>alert" not in answer.data
                assert b"<img src=x" not in answer.data
    for record in caplog.records:
        assert not {"\r", "\n"} & set(record.getMessage())
    keys = {i.photo_key for i in anna.photos}
    assert all(key.isascii() and key.removesuffix(".jpg").isalnum() for key in keys)


def _multipart(name: bytes, content: bytes) -> bytes:
    """Return a form in which the file name is escaped like browsers do."""
    escaped = name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
    return _part(b'filename="' + escaped + b'"', content)


def _part(filename: bytes, content: bytes) -> bytes:
    return (
        b'--frontier\r\nContent-Disposition: form-data; name="photos"; ' + filename + b"\r\n"
        b"Content-Type: image/jpeg\r\n\r\n" + content + b"\r\n--frontier--\r\n"
    )


def test_line_breaks_in_names_are_escaped_in_the_log(anna: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answer = anna.client.post(
        "/upload",
        data=_part(
            b"filename*=UTF-8''a%0D%0AINFO%20user%201%20is%20an%20administrator%E2%80%AE.jpg", b"text"
        ),
        content_type="multipart/form-data; boundary=frontier",
        headers={"X-CSRFToken": anna.token("/upload")},
    )
    assert answer.status_code == 415
    (line,) = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
    assert r"a\r\nINFO user 1 is an administrator\u202e.jpg" in line
    assert "anna" not in line


def test_full_queue_refuses_with_retry_after_and_pages_are_served(app: Flask, anna: Person) -> None:
    places = services_of(app).decoders.prepare.places
    with ExitStack() as taken:
        for other in range(-6, -3):
            taken.enter_context(places.taken(other))
        refused = anna.upload(("a.jpg", jpeg()), ("b.jpg", b"no photo"), Accept="application/json")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        files = refused.json["files"]  # type: ignore[index]
        assert [file["status"] for file in files] == [503, 415]
        assert files[0]["error"].startswith("Many photos are being uploaded")
        assert anna.get("/photos").status_code == 200
        assert _photos(anna) == 0
    assert anna.upload(("a.jpg", jpeg())).status_code == 303


def _taken(text: str | bytes) -> bytes:
    """Return a photo with a date in its EXIF. A date in bytes is stored with a type other than text."""
    exif, file = Image.Exif(), io.BytesIO()
    exif.get_ifd(0x8769)[36867] = text
    Image.new("RGB", (96, 64)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_the_date_of_a_photo_is_stored_only_if_its_owner_wants_that(anna: Person) -> None:
    dated = _taken("2024:05:01 14:07:00")
    shown = "<dt>Taken</dt><dd>1 May 2024, 14:07</dd>"
    anna.upload_one(dated)
    assert anna.photos[0].captured_at is None
    assert "Taken" not in anna.get(f"/photos/{anna.photos[0].id}").text
    anna.post("/upload", {"photos": (io.BytesIO(dated), "a.jpg"), "keep_date": "on"})
    assert shown in anna.get(f"/photos/{anna.photos[0].id}").text
    replaced = f"/photos/{anna.photos[0].id}"
    other = {"photo": (io.BytesIO(jpeg()), "other.jpg")}
    assert anna.post(f"{replaced}/replace", other, page=replaced).status_code == 303
    assert "Taken" not in anna.get(replaced).text
    undated = (io.BytesIO(_taken("0000:00:00 00:00:00")), "b.jpg")
    anna.post("/upload", {"photos": undated, "keep_date": "on"})
    assert (len(anna.photos), anna.photos[0].captured_at) == (3, None)
    tus = Tus(anna)
    in_pieces = tus.begin(len(dated), dated, keep_date="")
    assert shown in anna.get(f"/photos/{in_pieces.headers['Photo-Id']}").text


def test_the_date_is_kept_according_to_the_last_metadata_of_an_upload(anna: Person) -> None:
    dated, tus = _taken("2024:05:01 14:07:00"), Tus(anna)

    def upload(begun: bool, last: dict[str, str]) -> bool:
        path = tus.begin(len(dated), dated[:99], **({"keep_date": ""} if begun else {})).headers["Location"]
        assert tus.patch(path, 99, dated[99:], **last).status_code == 204
        return anna.photos[0].captured_at is not None

    name = f"filename {b64encode(b'a.jpg').decode()}"
    assert upload(True, {})  # most clients send no metadata with later pieces
    assert not upload(True, {"Upload_Metadata": name})  # the owner has unticked the box meanwhile
    assert upload(False, {"Upload_Metadata": f"{name},keep_date"})
    assert not upload(False, {})


@pytest.mark.parametrize("text", ["on", "true", "True", "yes", "1"])
def test_a_program_may_ask_for_the_date_in_other_words(anna: Person, text: str) -> None:
    dated = _taken("2024:05:01 14:07:00")
    anna.post("/upload", {"photos": (io.BytesIO(dated), "a.jpg"), "keep_date": text})
    assert Tus(anna).begin(len(dated), dated, keep_date=text).status_code == 201
    assert [photo.captured_at is None for photo in anna.photos] == [False, False]


def test_a_date_is_not_stored_for_a_program_that_says_no(anna: Person) -> None:
    dated = _taken("2024:05:01 14:07:00")
    for text in ("no", "false", "0"):
        fields = {"photos": (io.BytesIO(dated), "a.jpg"), "keep_date": text}
        assert anna.post("/upload", fields).status_code == 400
        assert Tus(anna).begin(len(dated), dated, keep_date=text).status_code == 400
    assert _photos(anna) == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2024-05-01T14:07:00+02:00", "1 May 2024, 14:07"),
        ("2024:05:01 14:07", "1 May 2024, 14:07"),
        (" 2024/5/1 4:07:09", "1 May 2024, 04:07"),
        (b"2024:05:01 14:07:00\0", "1 May 2024, 14:07"),
        ("2024:02:30 14:07:00", ""),
        ("2024:05:01", ""),
        ("    :  :     :  :  ", ""),
    ],
)
def test_a_date_is_read_as_cameras_and_scanners_write_it(anna: Person, text: str | bytes, shown: str) -> None:
    anna.post("/upload", {"photos": (io.BytesIO(_taken(text)), "a.jpg"), "keep_date": "on"})
    page = anna.get(f"/photos/{anna.photos[0].id}").text
    assert f"<dt>Taken</dt><dd>{shown}</dd>" in page if shown else "<dt>Taken</dt>" not in page


def test_a_form_sent_twice_makes_no_second_photo(anna: Person) -> None:
    key = re.search(r'name="upload_key" value="(\w+)"', anna.get("/upload").text)
    assert key
    for _ in range(2):
        files = [(io.BytesIO(jpeg()), "a.jpg"), (io.BytesIO(jpeg(colour=(1, 2, 3))), "b.jpg")]
        answer = anna.post("/upload", {"photos": files, "upload_key": key[1]})
        assert (answer.status_code, _photos(anna)) == (303, 2)
    anna.upload_one()  # the same photo in another form
    assert _photos(anna) == 3


def test_a_limit_beyond_all_memory_means_no_limit(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    """Forms keep a file of this size on the disk, and reading the limit at once would need as much memory."""
    photo = Image.effect_noise((1200, 1000), 100)
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=95)
    data = file.getvalue()
    assert len(data) > 500_000
    with running_site(engine, s3_server, objects, tmp_path, max_file_bytes=10**18) as app:
        anna = Person(app, "anna@example.org")
        id, token = anna.upload_one(jpeg()), {"csrf_token": anna.token("/upload")}
        program = Program(app, token_of(app, anna))
        for send, path, field, status in (
            (anna.client.post, "/upload", "photos", 303),
            (anna.client.post, f"/photos/{id}/replace", "photo", 303),
            (partial(program.send, "POST"), "/api/v1/photos", "photo", 202),
        ):
            # The test client's own forms leave files of this size open.
            body, content_type = encode_multipart_formdata({**token, field: ("large.jpg", data)})
            answer = send(path, data=body, headers={"Content-Type": content_type})
            assert answer.status_code == status, answer.text
        assert _photos(anna) == 3
