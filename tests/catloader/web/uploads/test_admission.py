"""Requests that are refused before a view runs, and how failures of the store are logged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from catloader.errors import UploadsBusy
from catloader.server.connections import adjustments
from catloader.server.request_parser import Parser
from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.http.cookies import SESSION
from catloader.web.uploads.admission import REFUSED, RULES, Rules
from checker.log_limit import LogLimits
from tests.support.accounts_site import accounts_site
from tests.support.object_stores import store_of
from tests.support.site import Person, jpeg, running_site, services_of


@pytest.fixture
def app(s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    with running_site(engine, s3_server, objects, tmp_path, uploads_at_once=1, max_files=4) as app:
        yield app
    engine.dispose()


def _refuse_many(app: Flask) -> None:
    """Refuse so many uploads that no upload waits for a place any more."""
    for _ in range(4):
        with pytest.raises(UploadsBusy):
            app.extensions["catloader.upload-places"].refuse()


def test_uploads_beyond_the_bound_are_refused_at_once_under_load(app: Flask) -> None:
    anna, bert = Person(app, "anna@example.org"), Person(app, "bert@example.org")
    token = bert.token("/upload")
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        """A body whose end is sent when the test sets an event; the view holds its place until then."""

        def read(self, _size: int = -1) -> bytes:
            begun.set()
            assert go_on.wait(60)
            return b""

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            anna.client.post,
            "/upload",
            content_type="multipart/form-data; boundary=x",
            environ_overrides={"wsgi.input": Slow(), "wsgi.input_terminated": True, "CONTENT_LENGTH": "10"},
        )
        assert begun.wait(60)
        _refuse_many(app)
        refused = bert.client.post(
            "/upload", data={"csrf_token": token}, headers={"Accept": "application/json"}
        )
        assert (refused.status_code, 5 <= int(refused.headers["Retry-After"]) <= 9) == (503, True)
        assert "try again" in (refused.json or {})["error"]
        assert bert.get("/photos").status_code == 200
        go_on.set()
        assert first.result().status_code == 400
    assert bert.upload(("a.jpg", jpeg()), Accept="application/json").status_code == 201


def test_head_determines_what_to_buffer_and_whether_s3_is_needed(app: Flask) -> None:
    rules: Rules = app.extensions[RULES]
    cookie = Person(app, "anna@example.org").client.get_cookie(SESSION)
    assert cookie
    signed = {"COOKIE": f"a=b; {SESSION}={cookie.value}"}
    over_https = {"COOKIE": f"__Host-{SESSION}={cookie.value}"}
    invented = {"COOKIE": f"{SESSION}={cookie.value[:-1]}{'01'[cookie.value[-1] == '0']}"}
    upload = rules.body_bytes("POST", "/upload", signed)
    assert upload > 4 * services_of(app).settings.max_file_bytes
    assert rules.body_bytes("POST", "/upload", over_https) == upload
    for head in (invented, {}, {"COOKIE": f"{SESSION}=x"}):
        assert rules.body_bytes("POST", "/upload", head) == 64 * 1024
    for method, path in (
        ("POST", "/login"),
        ("GET", "/upload"),
        ("POST", "/upload/shared"),
        ("POST", "/\xff"),
    ):
        assert rules.body_bytes(method, path, signed) == 64 * 1024
    paths = ("/photos/1/photo.jpg", "/photos/1/thumbnail.jpg", "/photos/1/explanation.jpg", "/readyz")
    assert all(rules.uses_object_store("GET", path) for path in paths)
    assert rules.uses_object_store("POST", "/upload")
    others = ("/", "/photos", "/photos/1", "/upload", "/healthz", "/api/photos/status", "/static/style.css")
    assert not any(rules.uses_object_store("GET", path) for path in others)


def test_nearly_full_temporary_folder_stops_buffering_of_bodies(tmp_path: Path) -> None:
    refused = []
    for free_bytes in (0, 2**62):
        with accounts_site(tmp_path, min_free_bytes=free_bytes) as app:
            parser = Parser(adjustments(connections=1), app.extensions[RULES], LogLimits())
            with closing(parser):
                cookie = Person(app, f"a{free_bytes}@example.org").client.get_cookie(SESSION)
                assert cookie
                head = f"POST /upload HTTP/1.1\r\nHost: x\r\nCookie: {SESSION}={cookie.value}\r\n"
                parser.received(f"{head}Content-Length: 9000000\r\n\r\n".encode())
                for _ in range(9):
                    parser.received(b"x" * 50_000)
                refused.append((parser.refused, parser.body_bytes_received))
                with parser.get_body_stream() as body:
                    assert (len(body.read()) > 0) == (free_bytes == 0)
    assert refused == [(None, 450_000), (507, 450_000)]


def test_uploads_under_load_are_refused_by_their_heads(app: Flask) -> None:
    rules: Rules = app.extensions[RULES]
    anna = Person(app, "anna@example.org")
    places = app.extensions["catloader.upload-places"]
    places.take()
    assert rules.refusal("POST", "/upload") is None
    _refuse_many(app)
    addresses = ("/upload", "/photos/1/replace", "/api/v1/photos", "/api/v1/check")
    assert [rules.refusal("POST", address) for address in addresses] == [429] * 4
    for method, path in (("GET", "/upload"), ("POST", "/login"), ("POST", "/photos/1/caption")):
        assert rules.refusal(method, path) is None
    answer = anna.client.post(
        "/upload", environ_overrides={REFUSED: 429}, headers={"Accept": "application/json"}
    )
    assert (answer.status_code, 5 <= int(answer.headers["Retry-After"]) <= 9) == (503, True)
    places.leave()
    assert rules.refusal("POST", "/upload") is None
    assert anna.upload(("a.jpg", jpeg()), Accept="application/json").status_code == 201


@pytest.mark.parametrize(("refused", "sentence"), [(507, "disk is full"), (503, "not responding")])
def test_body_that_could_not_be_buffered_is_reported_by_its_status(
    app: Flask, refused: int, sentence: str
) -> None:
    answer = app.test_client().post("/login", environ_overrides={REFUSED: refused})
    assert (answer.status_code, sentence in answer.text) == (refused, True)


@pytest.mark.slow
def test_unavailable_store_is_one_line_a_minute_and_retry_after(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    server = EmbeddedS3(tmp_path)
    server.start()
    with running_site(engine, server, store_of(server), tmp_path) as app:
        anna = Person(app, "anna@example.org")
        id = anna.upload_one()
        server.stop()
        for _ in range(4):
            for answer in (anna.get(f"/photos/{id}/photo.jpg"), anna.upload(("a.jpg", jpeg()))):
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
        assert anna.get("/photos").status_code == 200
    engine.dispose()
    assert [message.partition(": ")[0] for message in caplog.messages] == [
        f"GET /photos/{id}/photo.jpg",
        f"The object store at {server.endpoint_url} did not answer",  # from now on requests fail immediately
        "Uploads are refused",
    ]
    assert not [record for record in caplog.records if record.exc_info]
