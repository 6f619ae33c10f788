"""Connections of a real site: buffered bodies, refusals, and how connections end when the site stops."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import settings_of
from tests.support.processes import kill
from tests.support.serving import Serving, cookies_of, form_token, plain_session, registered, serving
from tests.support.site import jpeg

_MAX_FILE_BYTES = 4_000_000


@pytest.fixture(scope="module")
def store(s3_server: EmbeddedS3, shared_objects: ObjectStore) -> dict[str, object]:
    """Settings of a store that is already running."""
    return settings_of(s3_server, shared_objects)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, store: dict[str, object]) -> Iterator[Serving]:
    settings = {"CATLOADER_MAX_FILE_BYTES": _MAX_FILE_BYTES, "CATLOADER_MAX_FILES": 1, **store}
    settings |= {"CATLOADER_STALLED_S": 5, "CATLOADER_HEAD_S": 5}
    settings |= {"CATLOADER_ACCESS_LOG": "true", "CATLOADER_TRUSTED_PROXIES": 1}
    with serving(tmp_path_factory.mktemp("site"), **settings) as site:
        yield site


def _connect(site: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.port), timeout=60)


def _answer(connection: socket.socket) -> bytes:
    """Read until the site closes the connection."""
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def _answer_while_dripping(connection: socket.socket) -> bytes:
    """Send a byte every half second, each within the time limit, until there is a response."""
    connection.settimeout(0.5)
    for _ in range(120):
        connection.sendall(b"X")
        with suppress(TimeoutError):
            return connection.recv(65536)
    raise AssertionError("no response within a minute")


def _head(site: Serving, path: str, cookies: str = "", **headers: object) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", "Accept: application/json"]
    if cookies:
        lines.append(f"Cookie: {cookies}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _upload(site: Serving, data: bytes) -> tuple[bytes, bytes]:
    """Return head and body of an upload by a new account."""
    session = registered(site.url)
    token = form_token(session, site.url + "/upload")
    body = (
        f'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n'
        '--x\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
    ).encode() + data
    body += b"\r\n--x--\r\n"
    kind = {"Content_Type": "multipart/form-data; boundary=x", "Content_Length": len(body)}
    return _head(site, "/upload", cookies_of(session), Connection="close", **kind), body


def _temporary_files(site: Serving) -> list[str]:
    """Return the deleted files that the web processes hold open: buffered bodies."""
    links = []
    for process in site.web_processes():
        for fd in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                links.append(str(fd.readlink()))
            except FileNotFoundError:  # closed meanwhile
                continue
    return [link for link in links if "/#" in link and "(deleted)" in link]


def _wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, such as files being closed, that holds only some time after the response."""
    end_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def _are_kept(site: Serving, count: int) -> bool:
    return len(_temporary_files(site)) == count


def _wait_until_read(connection: socket.socket) -> None:
    """Wait until the site has received and read everything that was sent on the connection."""
    # Compare both ports: another connection, even a closed one, may use the same local port.
    names = connection.getsockname(), connection.getpeername()
    client_port, server_port = (f":{name[1]:04X}" for name in names)

    def is_read() -> bool:
        lines = [line.split()[1:5] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        queues = {(local[-5:], remote[-5:]): queue for local, remote, _, queue in lines}
        client, server = (
            queues.get((client_port, server_port), ""),
            queues.get((server_port, client_port), ""),
        )
        return client.startswith("00000000:") and server.endswith(":00000000")

    _wait_until(is_read)


def test_responses_do_not_name_the_server_software(site: Serving) -> None:
    with plain_session() as session:
        assert "server" not in session.get(site.url + "/login", timeout=60).headers
    with _connect(site) as connection:
        connection.sendall(b"not HTTP\r\n\r\n")
        assert b"waitress" not in _answer(connection).lower()


def test_access_log_and_response_have_client_and_request_id_of_a_trusted_proxy(site: Serving) -> None:
    by_a_proxy = {"X-Request-Id": "proxy-0123456789", "X-Forwarded-For": "192.0.2.1"}
    forged = by_a_proxy | {"X-Request-Id": "a\tb" * 3}
    ids = []
    for headers in (by_a_proxy, forged):
        with plain_session() as session:
            response = session.get(site.url + "/login?next=/photos", headers=headers, timeout=60)
            ids.append(response.headers["X-Request-Id"])
    assert ids[0] == "proxy-0123456789"
    assert re.fullmatch(r"[0-9a-f]{16}", ids[1])
    for id in ids:  # the line is written after the response was sent
        line = rf'^[-\d]{{10}} [:,\d]{{12}} 192\.0\.2\.1 "GET /login" 200 \d+ bytes \d+ ms request {id}$'
        _wait_until(lambda: bool(re.search(line, site.log, re.MULTILINE)))  # noqa: B023


def test_a_connection_is_kept_for_the_next_request(site: Serving) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"ok":true}\n'
            assert connection.sock is first


def test_a_refused_body_is_read_so_that_the_response_arrives(site: Serving) -> None:
    """30 MB do not fit into the buffers of a connection, so the client could not send them otherwise."""
    cookies = cookies_of(registered(site.url))
    with _connect(site) as connection:
        head = _head(site, "/upload", cookies, Content_Type="multipart/form-data; boundary=x",
                     Content_Length=30_000_000, Connection="close")  # fmt: skip
        connection.sendall(head)
        for _ in range(30):
            connection.sendall(bytes(1_000_000))
        assert _temporary_files(site) == []
        answer = _answer(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"You can upload 1 photo at a time, of up to" in answer


def test_a_body_that_waits_for_100_continue_is_refused_at_once(site: Serving) -> None:
    with _connect(site) as connection:
        connection.sendall(_head(site, "/login", Content_Length=30_000_000, Expect="100-continue"))
        assert b" 413 " in _answer(connection).partition(b"\r\n")[0]


def test_only_uploads_of_logged_in_users_are_buffered_in_the_temporary_folder(site: Serving) -> None:
    multipart = "multipart/form-data; boundary=x"
    visitor = plain_session()
    form_token(visitor, site.url + "/login")
    anonymous = cookies_of(visitor)
    for cookies, buffered in ((cookies_of(registered(site.url)), 1), (anonymous, 0)):
        with _connect(site) as connection:
            head = _head(site, "/upload", cookies, Content_Type=multipart, Content_Length=2_000_000)
            connection.sendall(head + bytes(1_000_000))
            _wait_until_read(connection)
            _wait_until(partial(_are_kept, site, buffered))
            connection.sendall(bytes(1_000_000))
            status = connection.recv(65536).split(b" ", 2)[1]
            # Without a log-in it is 401; with one, the body is read and is not a form.
            assert (status == b"401") is not bool(buffered)
    assert _temporary_files(site) == []


def test_https_is_refused_at_once_on_the_port_of_http(site: Serving) -> None:
    with (
        _connect(site) as connection,
        pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"),
    ):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")


def test_the_line_between_two_chunks_is_bounded(site: Serving) -> None:
    with _connect(site) as connection:
        connection.sendall(_head(site, "/login", Transfer_Encoding="chunked") + b"1;" + b"x" * 5000)
        answer = _answer(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"X-Content-Type-Options: nosniff" in answer
        assert b"frame-ancestors" in answer


def test_a_chunked_body_is_bounded(site: Serving) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    form = "application/x-www-form-urlencoded"
    with _connect(site) as connection:
        head = _head(site, "/login", Transfer_Encoding="chunked", Content_Type=form, Connection="close")
        connection.sendall(head + 20 * chunk)
        _wait_until_read(connection)
        assert _temporary_files(site) == []
        connection.sendall(b"0\r\n\r\n")
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")


def test_slow_heads_and_silent_bodies_are_closed_with_one_log_line(site: Serving) -> None:
    started_s, logged = time.monotonic(), "fell silent, or its request took too long"
    before = site.log.count(logged)  # other tests use the same site
    with ExitStack() as stack:
        silent = [stack.enter_context(_connect(site)) for _ in range(3)]
        for connection in silent:
            connection.sendall(_head(site, "/login", Content_Length=100) + b"email=")
        slow = [stack.enter_context(_connect(site)) for _ in range(2)]
        slow[0].sendall(b"GET / HTTP/1.1\r\n")
        slow[1].sendall(_head(site, "/login", Content_Length=100))
        with ThreadPoolExecutor(len(slow)) as drips:
            for answer in drips.map(_answer_while_dripping, slow):
                assert b" 408 " in answer
        for connection in silent:
            assert b" 408 " in _answer(connection).partition(b"\r\n")[0]
    _wait_until(lambda: logged in site.log)
    minutes_begun = 1 + (time.monotonic() - started_s) // 60
    assert site.log.count(logged) - before <= minutes_begun
    assert "Traceback" not in site.log


def test_an_upload_in_progress_is_stored_before_the_stop(tmp_path: Path, store: dict[str, object]) -> None:
    with serving(tmp_path, **store) as site, _connect(site) as connection, _kept(site) as idle:
        head, body = _upload(site, jpeg(size=(900, 700)))
        connection.sendall(head + body[:1000])
        _wait_until_read(connection)
        os.kill(site.process.pid, signal.SIGTERM)
        assert not _answer(idle)  # its end shows that the stop has begun
        connection.sendall(body[1000:])
        assert _answer(connection).startswith(b"HTTP/1.1 201 ")
        assert site.process.wait(60) == 0


@pytest.fixture(scope="module")
def site_of_two(tmp_path_factory: pytest.TempPathFactory, store: dict[str, object]) -> Iterator[Serving]:
    """A site of two web processes, which must end with the exit code 0."""
    with serving(tmp_path_factory.mktemp("two"), CATLOADER_WEB_PROCESSES=2, **store) as site:
        yield site
        assert site.stop() == 0


@pytest.fixture
def two(site_of_two: Serving) -> Serving:
    """The site of two web processes when both run: it is ready when the first one responds."""
    _wait_until(lambda: len(site_of_two.web_processes()) == 2)
    return site_of_two


def test_a_web_process_that_dies_is_replaced(two: Serving) -> None:
    first, second = two.web_processes()
    kill(first)
    _wait_until(lambda: len(two.web_processes()) == 2)
    running = two.web_processes()
    assert second in running
    assert first not in running
    with plain_session() as session:
        assert session.get(two.url + "/healthz", timeout=60).ok


def test_a_web_process_that_stops_leaves_new_connections_to_the_others(two: Serving) -> None:
    with _connect(two) as connection, ExitStack() as stack:
        head, body = _upload(two, jpeg(size=(900, 700)))
        connection.sendall(head + body[:1000])
        _wait_until_read(connection)
        (stopped,) = (process for process in two.web_processes() if _serves(process, connection))
        kept = (stack.enter_context(_kept(two)) for _ in range(100))
        idle = next(other for other in kept if _serves(stopped, other))
        stopped.terminate()
        assert not _answer(idle)  # its end shows that the stop has begun
        for _ in range(20):  # in less than the 2 s that the stop gives the upload
            with plain_session() as session:
                assert session.get(two.url + "/livez", timeout=60).ok
        connection.sendall(body[1000:])
        assert _answer(connection).startswith(b"HTTP/1.1 201 ")
        stopped.wait(60)


def _kept(site: Serving) -> socket.socket:
    """Return a connection that is kept open after a response (without a body)."""
    connection = _connect(site)
    connection.sendall(b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    return connection


def _serves(process: psutil.Process, connection: socket.socket) -> bool:
    return connection.getsockname() in [tuple(other.raddr) for other in process.net_connections()]


def test_a_full_temporary_folder_is_507_and_leaves_no_file(
    tmp_path: Path, small_disk: Path, store: dict[str, object]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    photo = jpeg(size=(1200, 900))
    with serving(folder, TMPDIR=small_disk, **store) as site:
        for padding, status in ((8_000_000, b"507"), (2_000_000, b"507"), (0, b"201")):
            head, body = _upload(site, photo + bytes(padding))
            with _connect(site) as connection:
                connection.sendall(head)
                connection.sendall(body)
                answer = _answer(connection)
            assert answer.split(b" ", 2)[1] == status, answer
            assert (b"disk is full" in answer) is (status == b"507")
            _wait_until(lambda: os.statvfs(small_disk).f_bfree == os.statvfs(small_disk).f_blocks)
        assert "Traceback" not in site.log
        assert len(re.findall("No space left on device", site.log)) <= 2
