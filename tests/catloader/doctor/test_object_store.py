"""The doctor's rows about a real S3 server: wrong keys, missing rights, a wrong clock, no server."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from pydantic import SecretStr

from catloader.doctor.object_store import rows
from catloader.doctor.rows import Row
from catloader.errors import StartupError, StoreUnavailable
from catloader.server.data_dir import store_note
from catloader.server.object_store import own_object_store, refuse_missing_rights
from catloader.settings import Settings
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.session import make_session
from catloader.wiring import build_object_store
from tests.support.object_stores import store_at

_RIGHTS = {
    "list": ["Read", "Write"],
    "put": ["Read", "List"],
    "get": ["Write", "List"],
}
"""Access key -> the actions that SeaweedFS allows it; each key lacks some."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    """An S3 server with an administrator's key and keys that have only some rights."""
    folder = tmp_path_factory.mktemp("limited")
    (folder / "s3").mkdir()
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": "secret"}], "actions": actions}
        for name, actions in {"admin": ["Admin"], **_RIGHTS}.items()
    ]
    (folder / "s3" / "keys.json").write_text(json.dumps({"identities": identities}))
    server = EmbeddedS3(folder)
    server.start()
    buckets = ("catloader-photos", "catloader-thumbnails")
    store_at(server.endpoint_url, buckets, keys=("admin", "secret")).ensure_buckets()
    yield server
    server.stop()


def _settings(endpoint_url: str, key: str = "admin", secret: str = "secret", **changes: Any) -> Settings:
    return Settings(
        s3_endpoint_url=endpoint_url,
        s3_access_key_id=SecretStr(key),
        s3_secret_access_key=SecretStr(secret),
        **changes,
    )


def _failed(rows: list[Row]) -> dict[str, str]:
    return {row.part: row.sentence for row in rows if row.result == "failed"}


def test_everything_works_and_no_objects_remain(server: EmbeddedS3) -> None:
    found = list(rows(_settings(server.endpoint_url)))
    assert {row.result for row in found} == {"ok"}
    names = ("list", "put", "get", "delete", "checksum headers", "clock", "keys and region", "address")
    assert {f"S3 {name}" for name in names} < {row.part for row in found}
    client = make_session().client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    assert client.list_objects_v2(Bucket="catloader-photos")["KeyCount"] == 0


@pytest.mark.parametrize(
    ("key", "secret", "named"),
    [("nobody", "secret", "AWS_ACCESS_KEY_ID"), ("admin", "wrong", "AWS_SECRET_ACCESS_KEY")],
)
def test_a_wrong_access_key_and_a_wrong_secret_are_distinguished(
    server: EmbeddedS3, key: str, secret: str, named: str
) -> None:
    failed = _failed(list(rows(_settings(server.endpoint_url, key, secret))))
    assert list(failed) == ["S3 keys and region"]
    assert named in failed["S3 keys and region"]


@pytest.mark.parametrize(
    ("key", "rights"),
    [
        ("list", {"S3 list": "s3:ListBucket"}),
        ("put", {"S3 put": "s3:PutObject", "S3 delete": "s3:DeleteObject"}),
        (
            "get",
            {
                "S3 bucket catloader-photos": "s3:ListBucket",
                "S3 bucket catloader-thumbnails": "s3:ListBucket",
                "S3 get": "s3:GetObject",
            },
        ),
    ],
)
def test_missing_rights_are_named(server: EmbeddedS3, key: str, rights: dict[str, str]) -> None:
    failed = _failed(list(rows(_settings(server.endpoint_url, key))))
    assert list(failed) == list(rights)
    for part, right in rights.items():
        assert f"The keys lack the right {right} " in failed[part]


def test_a_missing_bucket_is_a_note_because_the_next_start_makes_it(server: EmbeddedS3) -> None:
    found = {row.part: row for row in rows(_settings(server.endpoint_url, s3_photos_bucket="not-made"))}
    missing = found["S3 bucket not-made"]
    assert missing.result == "note", "its objects could not be tested"
    assert "the next start makes it, for which the keys need the right s3:CreateBucket" in missing.sentence
    assert "failed" not in {row.result for row in found.values()}


class _Page(BaseHTTPRequestHandler):
    """A server that is not S3: it serves a page, or an empty body, at every address."""

    status, body = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body if self.command == "GET" else b"")

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """Yield the address of a server that responds to every request with this status and body."""
    handler = type("Handler", (_Page,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as page:
        threading.Thread(target=page.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{page.server_port}"
        page.shutdown()


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"<!doctype html><p>Not here"), (404, b"<html>no</html>"), (404, b""), (200, b"<html>hi</html>")],
)
def test_another_server_than_s3_is_one_failed_row(status: int, body: bytes) -> None:
    with _answering(status, body) as url:
        failed = _failed(list(rows(_settings(url))))
    assert list(failed) == ["S3 address"]
    assert f"not as S3 does (HTTP {status}); set AWS_ENDPOINT_URL_S3" in failed["S3 address"]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("RequestTimeTooSkewed", "The clocks are too far apart; set both by NTP"),
        ("AuthorizationHeaderMalformed", "The server is in another region; set AWS_REGION"),
        ("IllegalLocationConstraintException", "The server is in another region; set AWS_REGION"),
    ],
)
def test_advice_follows_from_the_refusal(code: str, advice: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>-</Message></Error>".encode()
    with _answering(400, body) as url:
        failed = _failed(list(rows(_settings(url))))
    assert failed == {"S3 keys and region": f"{advice} ({code})."}


def test_a_server_that_cannot_be_reached_is_one_failed_row() -> None:
    (row,) = rows(_settings("http://127.0.0.1:1"))
    assert (row.part, row.result) == ("S3 address", "failed")
    assert "http://127.0.0.1:1 did not answer: connection refused" in row.sentence


class _Proxy(BaseHTTPRequestHandler):
    """Forwards requests to the server and changes the date of its responses."""

    to: ClassVar[str]
    date: ClassVar[str] = "Thu, 01 Jan 2026 00:00:00 GMT"
    protocol_version = "HTTP/1.1"
    """HTTP/1.0 has no 100 Continue, for which boto3 would wait a second before it sends a body."""

    def do_GET(self) -> None:
        connection = http.client.HTTPConnection(self.to, timeout=10)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = self.changed(answer.read()) if answer.status == 200 else answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("date", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        if self.date:
            self.send_header("Date", self.date)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        connection.close()

    do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

    def changed(self, content: bytes) -> bytes:
        return content

    def log_message(self, *_: Any) -> None:
        return


class _Peculiar(_Proxy):
    """Returns other bytes than were stored, refuses checksum headers, and sends no date."""

    date = ""

    def changed(self, content: bytes) -> bytes:
        return content[::-1] if "/doctor-" in self.path else content

    def do_PUT(self) -> None:
        if "x-amz-checksum-crc32" in self.headers:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(501)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.do_GET()


class _WithoutPut(_Proxy):
    """Refuses to store objects, like a server does if the keys lack the right."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _forwarding(server: EmbeddedS3, handler: type[_Proxy]) -> Iterator[str]:
    _Proxy.to = server.endpoint_url.removeprefix("http://")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}"
        proxy.shutdown()


@pytest.mark.parametrize("key", ["admin", "list"])
def test_a_start_with_every_right_leaves_no_object(server: EmbeddedS3, key: str) -> None:
    settings = _settings(server.endpoint_url, key)
    refuse_missing_rights(settings)
    objects = build_object_store(_settings(server.endpoint_url))
    assert [list(page) for page in objects.pages(objects.photos_bucket)] in ([], [[]])


@pytest.mark.parametrize(
    ("key", "secret", "named"),
    [
        ("nobody", "secret", "AWS_ACCESS_KEY_ID"),
        ("admin", "wrong", "AWS_SECRET_ACCESS_KEY"),
        ("get", "secret", "s3:ListBucket"),
    ],
)
def test_a_start_with_wrong_keys_says_which_setting_is_wrong(
    server: EmbeddedS3, key: str, secret: str, named: str
) -> None:
    """The first request is a HEAD, whose refusal has only the status 403."""
    refused = pytest.raises(StoreUnavailable, match=rf"refused bucket catloader-photos \(403\)\. .*{named}")
    with refused, own_object_store(_settings(server.endpoint_url, key, secret)):
        pass


class _WithoutThumbnails(_Proxy):
    """Refuses all requests for the bucket of thumbnails."""

    def do_GET(self) -> None:
        if not self.path.startswith("/catloader-thumbnails"):
            super().do_GET()
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the names are http.server's


def test_the_reason_of_a_refused_bucket_is_not_a_note_about_the_other(server: EmbeddedS3) -> None:
    client = build_object_store(_settings(server.endpoint_url))._client
    for status in ("Enabled", "Suspended"):
        client.put_bucket_versioning(Bucket="catloader-photos", VersioningConfiguration={"Status": status})
        refused = pytest.raises(
            StoreUnavailable, match=r"bucket catloader-thumbnails \(403\)\. .*s3:ListBucket"
        )
        with (
            _forwarding(server, _WithoutThumbnails) as url,
            refused,
            own_object_store(_settings(url)),
        ):
            pass


def test_a_start_names_the_right_that_is_missing(server: EmbeddedS3) -> None:
    for key, right in (("get", "s3:GetObject"), ("put", "s3:DeleteObject")):
        with pytest.raises(StartupError, match=f"lack the right {right} on the bucket catloader-photos"):
            refuse_missing_rights(_settings(server.endpoint_url, key))
    with _forwarding(server, _WithoutPut) as url, pytest.raises(StartupError, match="s3:PutObject"):
        refuse_missing_rights(_settings(url))


def test_peculiarities_of_a_server_are_named(server: EmbeddedS3) -> None:
    with _forwarding(server, _Peculiar) as url:
        found = {row.part: row for row in rows(_settings(url))}
    assert _failed(list(found.values())) == {
        "S3 get": "Bucket catloader-photos: the server returns other bytes than were stored."
    }
    assert found["S3 checksum headers"] == Row(
        "S3 checksum headers",
        "ok",
        "The server does not accept the newer ones; the site does not send them.",
    )
    assert found["S3 clock"] == Row("S3 clock", "note", "The server does not report its time.")


def test_a_bucket_that_keeps_deleted_photos_is_a_note(server: EmbeddedS3) -> None:
    client = build_object_store(_settings(server.endpoint_url))._client
    for status, expected in (("Enabled", ["S3 versions in catloader-photos"]), ("Suspended", [])):
        client.put_bucket_versioning(Bucket="catloader-photos", VersioningConfiguration={"Status": status})
        found = list(rows(_settings(server.endpoint_url)))
        assert [row.part for row in found if row.result == "note"] == expected
        assert _failed(found) == {}


def test_a_wrong_clock_is_a_failed_row(server: EmbeddedS3) -> None:
    with _forwarding(server, _Proxy) as url:
        failed = _failed(list(rows(_settings(url))))
    assert list(failed) == ["S3 clock"]
    assert "ahead of" in failed["S3 clock"]


@pytest.mark.slow
def test_the_embedded_store_is_started_and_stopped(tmp_path: Path) -> None:
    others = psutil.Process().children(recursive=True)
    settings = Settings(data_dir=tmp_path)
    found = rows(settings)
    results = {next(found).result}
    assert store_note(settings).stat().st_mode & 0o077 == 0, "it holds the keys"
    results |= {row.result for row in found}
    assert results == {"ok"}
    assert not store_note(settings).exists()
    assert {*psutil.Process().children(recursive=True)} <= {*others}
