"""Heads of requests that no browser sends: none may be understood in two ways, and each gets a sentence."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import pytest

from catloader.server.connections import adjustments
from catloader.server.request_parser import FormsOnly, Parser, TimeLimits
from checker.log_limit import LogLimits

_TWICE = "Content-Length and Transfer-Encoding exclude each other."
_HOST = "The request needs one Host header, with a valid name."
_VERSION = "This server speaks HTTP/1.0 and HTTP/1.1."
_INVALID = "The address or the Content-Length is invalid."


def _received(head: bytes, body: bytes = b"") -> Parser:
    parser = Parser(adjustments(connections=1), FormsOnly(), LogLimits())
    data = head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body
    while data and not parser.completed:
        data = data[parser.received(data) :]
    return parser


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"POST / HTTP/1.1\nHost: a\nContent-Length: " + b"9" * 5000, _INVALID),
        (b"GET http://[::1/login HTTP/1.1\nHost: a", _INVALID),
        (b"GET http://[zz]/login HTTP/1.1\nHost: a", _INVALID),
        (b"POST / HTTP/1.1\nHost: a\nContent-Length: 4\nTransfer-Encoding: chunked", _TWICE),
        (b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 0", _TWICE),
        (
            b"POST / HTTP/1.0\nConnection: keep-alive\nTransfer-Encoding: chunked",
            "Transfer-Encoding needs HTTP/1.1.",
        ),
        (b"GET / HTTP/1.1", _HOST),
        (b"GET / HTTP/1.1\nHost:", _HOST),
        (b"GET / HTTP/1.1\nHost: a\nHost: b.example", _HOST),
        (b"GET / HTTP/1.1\nHost: a b", _HOST),
        (b"GET / HTTP/1.1\nHost: a/b", _HOST),
        (b"GET / HTTP/1.1\nHost: user@a", _HOST),
        (b"GET / HTTP/1.1\nHost: [::1", _HOST),
        (b"GET / HTTP/1.1\nHost: a:b", _HOST),
        (b"GET / HTTP/1.0\nHost: a, b", _HOST),
        (b"GET /", _VERSION),
        (b"GET / HTTP/9.9\nHost: a", _VERSION),
        (b"GET / HTTP/0.9\nHost: a", _VERSION),
        (b"GET / HTTP/1.2", _HOST),
        (b"POST / HTTP/1.2\nHost: a\nContent-Length: 4\nTransfer-Encoding: chunked", _TWICE),
        (b"PRI * HTTP/2.0", _VERSION),
    ],
)
def test_an_invalid_or_ambiguous_head_is_refused(head: bytes, sentence: str) -> None:
    request = _received(head, b"0\r\n\r\n")
    assert (request.error.code, request.error.body) == (400, sentence)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: cats.example.org",
        b"GET / HTTP/1.1\nHost: cat_site:8000",
        b"GET / HTTP/1.1\nHost: [fe80::1%25eth0]:8000",
        b"GET / HTTP/1.0",
        b"GET / HTTP/1.2\nHost: cats.example.org",
        b"POST / HTTP/1.9\nHost: a\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked",
    ],
)
def test_unusual_but_valid_heads_are_accepted(head: bytes) -> None:
    request = _received(head, b"0\r\n\r\n")
    assert request.completed
    assert request.error is None


def test_a_body_that_would_take_too_long_is_not_read_and_ends_the_connection() -> None:
    request = _received(b"POST / HTTP/1.1\nHost: a\nContent-Length: 99000000000", b"x")
    assert request.completed
    assert request.headers["CONNECTION"] == "close"
    shorter = _received(b"POST / HTTP/1.1\nHost: a\nContent-Length: 1000000000", b"x")
    assert not shorter.completed


def test_a_body_that_begins_like_tls_is_accepted() -> None:
    request = _received(b"POST / HTTP/1.1\nHost: a\nContent-Length: 4", b"\x16\x03ab")
    assert (request.completed, request.error) == (True, None)


def test_a_head_has_a_time_limit_and_a_body_the_time_that_its_bytes_may_take() -> None:
    limits = TimeLimits(stalled_s=10, head_s=5, body_bytes_per_s=100)
    request = Parser(adjustments(connections=1), FormsOnly(), LogLimits())
    request.received(b"POST / HTTP/1.1\r\n")
    assert [request.too_slow(request.begun_s + s, limits) for s in (4.9, 5.1)] == [False, True]
    request.begun_s = request.body_begun_s = time.monotonic() - 4  # the body's time begins after the head
    request.received(b"Host: a\r\nContent-Length: 5000\r\n\r\n")
    assert request.body_begun_s > request.begun_s + 3
    request.received(1000 * b"x")
    assert [request.too_slow(request.body_begun_s + s, limits) for s in (19.9, 20.1)] == [False, True]


def _temporary_files() -> list[str]:
    """Return the deleted files that this process holds open."""
    links = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this listing is already closed
            links.append(str(fd.readlink()))
    return sorted(link for link in links if "/#" in link)


class _Uploads(FormsOnly):
    def body_bytes(self, _method: str, _path: str, _headers: Mapping[str, str]) -> int:
        return 2**20


def test_bodies_that_cannot_be_buffered_get_503_and_are_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    limits, body = LogLimits(), 200_000 * b"x"
    for _ in range(2):
        request = Parser(adjustments(connections=1), _Uploads(), limits)
        request.received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        request.received(body)
        assert request.refused == HTTPStatus.SERVICE_UNAVAILABLE
    (record,) = caplog.records
    assert "No such file or directory" in record.message
    chunked = Parser(adjustments(connections=1), _Uploads(), limits)
    chunked.received(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunked.received(b"%x\r\n" % len(body) + body)
    assert (chunked.completed, chunked.refused) == (True, HTTPStatus.SERVICE_UNAVAILABLE)
    assert (chunked.headers["CONNECTION"], int(chunked.headers["CONTENT_LENGTH"])) == ("close", 200_000)


def test_the_temporary_file_of_a_body_that_gets_too_long_is_closed_at_once() -> None:
    """If it were left to the garbage collector, its ResourceWarning would fail this test."""
    before, chunk = _temporary_files(), b"%x\r\n" % 600_000 + 600_000 * b"x" + b"\r\n"
    request = Parser(adjustments(connections=1), _Uploads(), LogLimits())
    request.received(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    request.received(chunk)
    assert len(_temporary_files()) == len(before) + 1
    request.received(chunk)
    assert _temporary_files() == before
    assert not request.completed
