"""The site as its owner meets it: started for real, stopped, started again, killed, refused."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from PIL import Image
from sqlalchemy import func, select

from catloader.settings import Settings
from catloader.store.db.engine import reading
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import check_log, photos
from catloader.wiring import build_engine
from tests.support.environ import environ_without_settings

_PASSWORD = "correct horse battery"
_BACKLOG = 120


@dataclass
class Site:
    """One ``catloader serve`` and what it said."""

    process: subprocess.Popen[str]
    url: str
    started_s: float
    browser: requests.Session

    def get(self, path: str) -> requests.Response:
        return self.browser.get(self.url + path, timeout=30)

    def post(self, path: str, form: str, **what: Any) -> requests.Response:
        """Fill in the form that is served at ``form``."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(form).text)
        assert token
        data = {"csrf_token": token[1], **what.pop("data", {})}
        return self.browser.post(
            self.url + path, data=data, headers={"Accept": "application/json"}, timeout=60, **what
        )

    def first_answer_s(self) -> float:
        """From the start of the process."""
        self.until(lambda: _answers(self.url))
        return time.monotonic() - self.started_s

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        end_s = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end_s
            time.sleep(0.01)

    def family(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self, sig: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        """As Ctrl-C does: the signal goes to the whole group."""
        os.killpg(self.process.pid, sig)
        return self.process.communicate(timeout=20)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=30).ok
    except requests.ConnectionError:
        return False


def _alive(family: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _serving(folder: Path, **settings: object) -> Iterator[Site]:
    port = settings.setdefault("CATLOADER_PORT", _free_port())
    settings = {"CATLOADER_DATA_DIR": folder, "CATCHECK_MODEL": "efficientnet_lite0", **settings}
    started_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "catloader", "serve"],
        env=environ_without_settings(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    with process, requests.Session() as browser:
        browser.trust_env = False
        try:
            yield Site(process, f"http://127.0.0.1:{port}", started_s, browser)
        finally:
            # The embedded S3 has a session of its own; the kernel ends it with its parent.
            process.kill()


def _jpegs(count: int) -> list[tuple[str, tuple[str, bytes]]]:
    rng = np.random.default_rng(7)
    files = []
    for number in range(count):
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((320, 240))
        file = io.BytesIO()
        picture.save(file, "JPEG")
        files.append(("photos", (f"{number}.jpg", file.getvalue())))
    return files


def test_start_stop_and_start_again(tmp_path: Path) -> None:
    with _serving(tmp_path) as site:
        first_answer_s = site.first_answer_s()
        who = {"email": "ann@example.org", "password": _PASSWORD}
        assert site.post("/register", "/register", data=who).ok
        # The network is still being loaded, or has just been: uploads are taken meanwhile.
        assert site.post("/upload", "/upload", files=_jpegs(1)).ok
        site.until(lambda: site.get("/readyz").json()["checker"]["state"] == "ready")
        site.until(lambda: site.get("/api/photos/status?ids=1").json()["photos"][0]["final"])
        family = site.family()
        assert len(family) >= 3, "supervisor, worker, object store"
        stopped_s = time.monotonic()
        out, err = site.stop()
        assert time.monotonic() - stopped_s < 5
        assert site.process.returncode == 0
        assert _alive(family) == []
    made_of = "checks run here on efficientnet_lite0; embedded SeaweedFS; SQLite in"
    assert out.splitlines() == [f"CatLoader is ready: {site.url} ({made_of} {tmp_path}/)"]
    assert "Traceback" not in out + err

    with _serving(tmp_path) as again:
        # The better of two: something else may have kept this machine busy.
        assert min(first_answer_s, again.first_answer_s()) < 5
        assert again.post("/login", "/login", data=who).ok
        (photo,) = again.get("/api/photos/status?ids=1").json()["photos"]
        assert photo["final"]
        picture = again.get("/photos/1/photo.jpg")
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        again.stop()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sig: sig.name)
def test_a_stop_during_the_start_leaves_nothing(tmp_path: Path, sig: signal.Signals) -> None:
    with _serving(tmp_path) as site:
        # The object store's process is there, the workers are not.
        site.until(lambda: len(site.family()) >= 2)
        family = site.family()
        os.kill(site.process.pid, sig)
        site.process.communicate(timeout=5)
        psutil.wait_procs(family, timeout=2)
        assert _alive(family) == []


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP], ids=lambda sig: sig.name)
def test_a_service_manager_and_a_closed_terminal_stop_it_too(tmp_path: Path, sig: signal.Signals) -> None:
    with _serving(tmp_path) as site:
        site.first_answer_s()
        family = site.family()
        stopped_s = time.monotonic()
        os.kill(site.process.pid, sig)
        _, err = site.process.communicate(timeout=10)
        assert time.monotonic() - stopped_s < 5
        assert _alive(family) == []
        assert "Traceback" not in err


def test_silent_visitors_do_not_keep_the_threads(tmp_path: Path) -> None:
    with _serving(tmp_path, CATLOADER_WEB_THREADS=2, CATLOADER_STALLED_S=1) as site, ExitStack() as open_:
        site.first_answer_s()
        host, port = site.url.removeprefix("http://").split(":")
        head = f"POST /login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        silent = [open_.enter_context(socket.create_connection((host, int(port)))) for _ in range(4)]
        for one in silent:
            one.sendall(f"{head}Content-Length: 100\r\n\r\nemail=".encode())
        assert site.browser.get(site.url, timeout=10).ok
        for one in silent:
            one.settimeout(10)
            assert b" 400 " in one.recv(4096)
        site.stop()


def test_a_request_that_never_ends_is_one_line_in_the_log(tmp_path: Path) -> None:
    with _serving(tmp_path, CATLOADER_STALLED_S=1) as site, ExitStack() as open_:
        site.first_answer_s()
        host, port = site.url.removeprefix("http://").split(":")
        silent = [open_.enter_context(socket.create_connection((host, int(port)))) for _ in range(3)]
        for one in silent:
            one.sendall(b"GET / HT")
            one.settimeout(10)
        for one in silent:
            assert one.recv(4096) == b""
        _, said = site.stop()
    assert said.count("A connection fell silent or broke") == 3
    assert "Traceback" not in said


def test_killed_in_the_middle_of_a_backlog(tmp_path: Path) -> None:
    with _serving(tmp_path, CATCHECK_DISPATCH="off") as site:
        site.first_answer_s()
        who = {"email": "ann@example.org", "password": _PASSWORD}
        assert site.post("/register", "/register", data=who).ok
        for _ in range(_BACKLOG // 60):
            assert site.post("/upload", "/upload", files=_jpegs(60)).ok
        site.stop()

    engine = build_engine(Settings(data_dir=tmp_path))

    def verdicts() -> int:
        with reading(engine) as connection:
            return int(connection.execute(select(func.count(check_log.c.verdict))).scalar_one())

    assert verdicts() == 0
    with _serving(tmp_path) as site:
        site.until(lambda: verdicts() > 0)
        family = site.family()
        site.process.kill()
        psutil.wait_procs(family, timeout=5)
        assert _alive(family) == []
    assert 0 < verdicts() < _BACKLOG, "it was not killed in the middle"

    # What was claimed when it was killed comes back when its lease runs out; nobody need wait for that.
    with closing(sqlite3.connect(tmp_path / "catloader.sqlite3")) as raw, raw:
        raw.execute("UPDATE images SET lease_until = '2000-01-01 00:00:00.000000' WHERE status = 'checking'")
    with _serving(tmp_path, CATCHECK_SWEEP_S=0.2) as site:
        site.until(lambda: verdicts() == _BACKLOG)
        site.stop()
    with reading(engine) as connection:
        checked = select(check_log.c.photo_id).where(check_log.c.verdict.is_not(None))
        assert len(set(connection.execute(checked).scalars())) == _BACKLOG
        left = select(func.count()).where(photos.c.status.in_(["pending", "checking"]))
        assert connection.execute(left).scalar_one() == 0
    engine.dispose()


def _a_file(folder: Path) -> dict[str, object]:
    (folder / "file").write_text("not a folder")
    return {"CATLOADER_DATA_DIR": folder / "file"}


def _below_a_file(folder: Path) -> dict[str, object]:
    return {"CATLOADER_DATA_DIR": _a_file(folder)["CATLOADER_DATA_DIR"] / Path("data")}  # type: ignore[operator]


def _unwritable(folder: Path) -> dict[str, object]:
    if os.geteuid() == 0:  # whom no mode keeps out
        return {"CATLOADER_DATA_DIR": "/sys/catloader"}
    folder.chmod(0o500)
    return {}


def _garbage(folder: Path) -> dict[str, object]:
    (folder / "catloader.sqlite3").write_bytes(b"this is no database " * 500)
    return {}


def _truncated(folder: Path) -> dict[str, object]:
    engine = build_engine(Settings(data_dir=folder))
    migrate(engine)
    engine.dispose()
    with (folder / "catloader.sqlite3").open("r+b") as file:
        file.truncate(8192)
    return {}


def _no_disk(_folder: Path) -> dict[str, object]:
    return {"CATLOADER_MIN_FREE_BYTES": 2**60}


def _no_weights(_folder: Path) -> dict[str, object]:
    return {"CATCHECK_MODEL": "resnet50", "CATCHECK_WEIGHTS_DIR": "/nowhere"}


def _no_subject(_folder: Path) -> dict[str, object]:
    return {"CATCHECK_SUBJECT": "unicorn"}


def _nonsense(_folder: Path) -> dict[str, object]:
    return {"CATLOADER_WEB_THREADS": "many"}


def _no_postgresql(_folder: Path) -> dict[str, object]:
    return {"DATABASE_URL": f"postgresql://u:hush@127.0.0.1:{_free_port()}/cats"}


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (_a_file, "is a file"),
        (_below_a_file, "is a file, or lies below one"),
        (_unwritable, "cannot be written to"),
        (_garbage, "is broken: file is not a database"),
        (_truncated, "is broken: database disk image is malformed"),
        (_no_disk, "CATLOADER_MIN_FREE_BYTES"),
        (_no_weights, "model auto does without"),
        (_no_subject, "no subject 'unicorn'"),
        (_nonsense, "it takes a whole number"),
        (_no_postgresql, "does not answer"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else None,
)
def test_what_it_cannot_start_with_is_one_line(
    tmp_path: Path, broken: Callable[[Path], dict[str, object]], told: str
) -> None:
    with _serving(tmp_path, **broken(tmp_path)) as site:
        _assert_one_line(site, told)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _serving(tmp_path / "data", CATLOADER_PORT=port) as site:
            _assert_one_line(site, f"Port {port} of 127.0.0.1 is in use")


def test_a_second_site_on_the_same_folder_is_one_line_and_harms_nothing(tmp_path: Path) -> None:
    with _serving(tmp_path) as first:
        first.first_answer_s()
        with _serving(tmp_path) as second:
            _assert_one_line(second, "Another CatLoader runs on the data folder")
        assert first.get("/readyz").json()["object_store"] == "ok"
        first.stop()


def _assert_one_line(site: Site, told: str) -> None:
    out, err = site.process.communicate(timeout=20)
    assert site.process.returncode == 1
    assert out == ""
    assert re.fullmatch(rf"Error: .*{re.escape(told)}.*\n", err), err
    assert "hush" not in err
