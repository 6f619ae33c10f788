"""A full or failing disk and a process without file descriptors: requests are refused, with one log line."""

from __future__ import annotations

import errno
import io
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.accounts.sessions import without_login
from catloader.web.http import cookies
from tests.support.site import Person, jpeg, running_site, services_of
from tests.support.tus import Tus


@pytest.fixture
def sites(s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Iterator[tuple[Flask, Flask]]:
    """Yield a site and a second process of it that finds too little space on the disk."""
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    with (
        running_site(engine, s3_server, objects, tmp_path) as app,
        running_site(engine, s3_server, objects, tmp_path, min_free_bytes=2**60) as full,
    ):
        yield app, full
    engine.dispose()


@pytest.fixture
def app(sites: tuple[Flask, Flask]) -> Flask:
    return sites[0]


def test_a_nearly_full_disk_refuses_photos_changes_and_pieces_of_uploads(sites: tuple[Flask, Flask]) -> None:
    app, full = sites
    anna, late = Person(app, "anna@example.org"), Person(full)
    photo = jpeg(size=(400, 300))
    id = anna.upload_one(photo)
    begun = Tus(anna).begin(len(photo), photo[:100]).headers["Location"]
    before = services_of(app).photos.by_id(id)
    session = anna.client.get_cookie(cookies.SESSION)
    assert session
    late.client.set_cookie(cookies.SESSION, session.value)
    answers = {
        "upload": late.upload(("a.jpg", photo)),
        "begin": Tus(late).begin(len(photo)),
        "continue": Tus(late).patch(begun, 100, photo[100:200]),
        "replace": late.post(
            f"/photos/{id}/replace", {"photo": (io.BytesIO(photo), "b.jpg")}, page=f"/photos/{id}"
        ),
        "rotate": late.post(f"/photos/{id}/rotate", {"to": "left"}, page=f"/photos/{id}"),
        "square": late.post(f"/photos/{id}/square", {"left": "0", "top": "0", "side": "100"}),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 507)
    assert services_of(app).photos.by_id(id) == before
    assert Tus(anna).send("HEAD", begun).headers["Upload-Offset"] == "100"
    assert late.get(f"/photos/{id}").status_code == 200


@pytest.mark.parametrize(
    ("number", "status", "sentence"),
    [
        (errno.ENOSPC, 507, "disk is full"),
        (errno.EDQUOT, 507, "disk is full"),
        (errno.EFBIG, 507, "disk is full"),
        (errno.EMFILE, 503, "not responding"),
        (errno.EIO, 503, "not responding"),
        (errno.EROFS, 503, "not responding"),
        (errno.ENOENT, 500, "error was logged"),
    ],
)
def test_errors_of_the_disk_and_missing_descriptors_are_refused_with_one_log_line(
    app: Flask, caplog: pytest.LogCaptureFixture, number: int, status: int, sentence: str
) -> None:
    @app.get("/broken")
    @without_login
    def broken() -> str:
        raise OSError(number, os.strerror(number), "/data/lock")

    answer = app.test_client().get("/broken", headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert sentence in (answer.json or {})["error"]
    (record,) = caplog.records
    assert (record.exc_info is None) is (status != 500)
    assert status == 500 or os.strerror(number) in record.message


def test_the_error_page_needs_no_free_file_descriptor(app: Flask) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    @app.get("/files")
    @without_login
    def files() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        return Path("/dev/null").read_text()

    @app.teardown_request
    def restore(_error: BaseException | None) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    app.jinja_env.cache = None  # as if no page had been rendered before
    answer = app.test_client().get("/files")
    assert answer.status_code == 503
    assert answer.text == "A part of this site is not responding. Please try again in a moment.\n"
