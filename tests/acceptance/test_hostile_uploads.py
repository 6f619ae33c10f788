"""Hostile files, sent by the upload form to a real site: gunicorn, SQLite, the embedded S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import psutil
import pytest
import requests
from sqlalchemy import select

from catloader.server.object_store import shared_or_own_object_store
from catloader.settings import Settings
from catloader.store.db.engine import reading
from catloader.store.db.schema import deletions, photos
from catloader.wiring import build_engine
from tests.support.hostile import HostileCorpus, HostileFile
from tests.support.hostile.drawing import MARK
from tests.support.serving import Serving, form_token, registered, serving

MARKS = (MARK, b"CATMARK")
"""Planted in file names."""


class Site:
    def __init__(self, running: Serving) -> None:
        self.process, self.folder, self.url = running.process, running.folder, running.url
        self.settings = Settings(data_dir=running.folder)
        self.browser = registered(running.url)

    def token(self) -> str:
        return form_token(self.browser, self.url + "/upload")

    def post(self, files: list[tuple[str, tuple[str, bytes, str]]], token: str) -> requests.Response:
        return self.browser.post(self.url + "/upload", data={"csrf_token": token}, files=files, timeout=60)

    def keys(self) -> dict[str, set[str]]:
        """Return the keys in the database and the keys in both buckets."""
        engine = build_engine(self.settings)
        with reading(engine) as connection:
            rows = connection.execute(select(photos.c.photo_key, photos.c.thumbnail_key)).all()
            assert not connection.execute(select(deletions)).all()
        engine.dispose()
        with shared_or_own_object_store(self.settings) as settings:
            client: Any = boto3.client(
                "s3",
                endpoint_url=settings.s3_endpoint_url,
                aws_access_key_id=settings.s3_access_key_id.get_secret_value(),
                aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
                region_name=settings.s3_region,
            )
            stored = set()
            for bucket in (settings.s3_photos_bucket, settings.s3_thumbnails_bucket):
                for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                    stored |= {entry["Key"] for entry in page.get("Contents", ())}
            client.close()
        return {"rows": {key for row in rows for key in row}, "objects": stored}

    def processes(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("hostile")) as running:
        site = Site(running)
        yield site
        site.browser.close()


def as_form_file(file: HostileFile) -> tuple[str, bytes, str]:
    return file.name, file.data, file.claimed_type


def test_each_file_is_stored_or_refused_as_expected(site: Site, hostile_corpus: HostileCorpus) -> None:
    token, workers, wrong = site.token(), site.processes(), []
    for file in hostile_corpus.files:
        answer = site.post([("photos", as_form_file(file))], token)
        assert answer.status_code == 201 or 400 <= answer.status_code < 500, (file.name, answer.text)
        (outcome,) = answer.json()["files"]
        if (answer.status_code == 201) != file.is_accepted:
            wrong.append(file.name)
        elif answer.status_code != 201:
            assert outcome["error"].endswith("."), file.name
        else:
            for name in ("photo.jpg", "thumbnail.jpg"):
                served = site.browser.get(f"{site.url}/photos/{outcome['id']}/{name}", timeout=30)
                assert served.headers["content-type"] == "image/jpeg"
                assert served.headers["x-content-type-options"] == "nosniff"
                assert served.content.startswith(b"\xff\xd8\xff\xe0")
                blocks = (b"Exif", b"http://ns.adobe.com", b"ICC_PROFILE", b"Photoshop")
                assert not [text for text in (*file.forbidden, *blocks) if text in served.content], file.name
    assert_nearly_all_right(wrong, hostile_corpus, len(hostile_corpus.files))
    assert site.processes() >= workers, "a process was lost"  # decoding processes may have been added
    keys = site.keys()
    assert keys["objects"] == keys["rows"]
    log = (site.folder / "log").read_bytes()
    assert b"Traceback" not in log
    assert b"Warning" not in log
    assert not [text for file in hostile_corpus.files for text in file.forbidden if text in log]


def test_forty_files_in_one_request_are_judged_one_by_one(site: Site, hostile_corpus: HostileCorpus) -> None:
    files = hostile_corpus.files[:: len(hostile_corpus.files) // 40][:40]
    assert len({file.is_accepted for file in files}) == 2
    answer = site.post([("photos", as_form_file(file)) for file in files], site.token())
    assert 400 <= answer.status_code < 500
    outcomes = answer.json()["files"]
    assert [outcome["name"] for outcome in outcomes] == [file.name for file in files]
    wrong = [
        file.name
        for file, outcome in zip(files, outcomes, strict=True)
        if (outcome["status"] == 201) != file.is_accepted
    ]
    assert_nearly_all_right(wrong, hostile_corpus, len(files))
    keys = site.keys()
    assert keys["objects"] == keys["rows"]


def assert_nearly_all_right(wrong: list[str], corpus: HostileCorpus, number: int) -> None:
    assert len(wrong) <= (1 - corpus.right_share) * number, f"{len(wrong)} of {number}: {wrong}"


@pytest.mark.parametrize("escaped", [True, False], ids=["as browsers escape it", "raw"])
def test_hostile_file_names_reach_neither_markup_nor_headers_nor_the_log(
    site: Site, hostile_corpus: HostileCorpus, escaped: bool
) -> None:
    token = site.token()
    photo = next(file.data for file in hostile_corpus.files if file.is_accepted)
    by_a_browser = {name: _escaped(name) for name in hostile_corpus.names}
    raw = {name: name for name in hostile_corpus.names if by_a_browser[name] != name}
    assert raw
    for name, sent in (by_a_browser if escaped else raw).items():
        for content, status in ((photo, 201), (b"no photo", 415)):
            for accept in ("application/json", "text/html"):
                answer = site.browser.post(
                    site.url + "/upload",
                    data=_multipart(sent, content),
                    headers={
                        "Content-Type": "multipart/form-data; boundary=frontier",
                        "X-CSRFToken": token,
                        "Accept": accept,
                    },
                    allow_redirects=False,
                    timeout=30,
                )
                assert answer.status_code < 500, name
                if escaped:
                    assert answer.status_code in ({status} if "json" in accept else {status, 303}), name
                for forbidden in (b"<img src=x", b"<script>alert", *(b"<b>" + mark for mark in MARKS)):
                    assert forbidden not in answer.content, name
                assert not [mark for mark in MARKS if mark.decode() in str(answer.headers)]
    log = (site.folder / "log").read_bytes()
    assert not [mark for mark in MARKS if b"\n<b>" + mark in log]


def _escaped(name: bytes) -> bytes:
    """Escape a file name as browsers do."""
    return name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")


def _multipart(name: bytes, content: bytes) -> bytes:
    head = b'--frontier\r\nContent-Disposition: form-data; name="photos"; filename="' + name + b'"\r\n'
    return head + b"Content-Type: image/jpeg\r\n\r\n" + content + b"\r\n--frontier--\r\n"
