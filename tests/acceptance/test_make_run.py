"""Start, stop, restart, kill and failed start of the site, as an operator sees them."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from PIL import Image
from sqlalchemy import func, select

from catloader.demo.client import free_port
from catloader.settings import Settings
from catloader.store.db.engine import make_engine, reading
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import check_log, photos
from catloader.wiring import build_engine
from tests.support.environ import environ_without_settings
from tests.support.machine import busy_factor
from tests.support.processes import until_gone
from tests.support.serving import form_token, registered, serving

_PASSWORD = "correct horse battery"
_BACKLOG = 60
"""So many photos that the kill interrupts the work on a machine with any number of cores."""
_S3_KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush"}


@dataclass
class Site:
    """A running ``catloader serve`` and a browser session."""

    process: subprocess.Popen[str]
    url: str
    started_s: float
    browser: requests.Session

    def get(self, path: str) -> requests.Response:
        return self.browser.get(self.url + path, timeout=30)

    def post(self, path: str, form: str, **request: Any) -> requests.Response:
        """Post to ``path`` with the token of the form that ``form`` serves."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(form).text)
        assert token
        data = {"csrf_token": token[1], **request.pop("data", {})}
        return self.browser.post(
            self.url + path, data=data, headers={"Accept": "application/json"}, timeout=60, **request
        )

    def first_response_s(self) -> float:
        """Wait for the first response; return the seconds since the process started."""
        self.until(lambda: _answers(self.url))
        return time.monotonic() - self.started_s

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        end_s = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end_s
            time.sleep(0.01)

    def processes(self) -> list[psutil.Process]:
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def stop(self) -> None:
        """Signal the whole process group, as Ctrl-C does, and wait."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.communicate(timeout=60)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


@contextmanager
def _serving(folder: Path, **settings: object) -> Iterator[Site]:
    port = settings.setdefault("CATLOADER_PORT", free_port())
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
            # The embedded S3 is in another session; the kernel ends it together with its parent.
            process.kill()


def _jpegs(count: int) -> list[tuple[str, tuple[str, bytes]]]:
    rng = np.random.default_rng(7)
    files = []
    for number in range(count):
        image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((320, 240))
        file = io.BytesIO()
        image.save(file, "JPEG")
        files.append(("photos", (f"{number}.jpg", file.getvalue())))
    return files


def test_site_starts_stops_and_starts_again_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "My%20cats?"
    with _serving(folder) as site:
        first_response_s = site.first_response_s()
        account = {"email": "ann@example.org", "password": _PASSWORD}
        assert site.post("/register", "/register", data=account).ok
        # The model is still loading, or has just loaded. The site accepts uploads meanwhile.
        assert site.post("/upload", "/upload", files=_jpegs(1)).ok
        site.until(lambda: site.get("/readyz").json()["checker"]["state"] == "ready")
        site.until(lambda: site.get("/api/photos/status?ids=1").json()["photos"][0]["final"])
        assert len(site.processes()) >= 3, "supervisor, worker, object store"
        out = _assert_stops(site, signal.SIGINT, os.killpg)
        assert site.process.returncode == 0
    starting, ready, checking, stopped = out.splitlines()
    assert (starting, stopped) == ("Starting CatLoader ...", "Stopped.")
    stores = f"embedded SeaweedFS; SQLite in {folder}/"
    model = "loading the model efficientnet_lite0 ..."
    assert ready == f"Ready for uploads at {site.url} ({stores}); {model}"
    assert re.fullmatch(r"Checking with efficientnet_lite0 \(\w+ \w+, \w+\)", checking)
    assert (folder / "catloader.sqlite3").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]

    busy = busy_factor()
    with _serving(folder) as again:
        # The lower of two times, because other programs may have kept the machine busy.
        assert min(first_response_s, again.first_response_s()) < 5 * max(busy, busy_factor())
        assert again.post("/login", "/login", data=account).ok
        (photo,) = again.get("/api/photos/status?ids=1").json()["photos"]
        assert photo["final"]
        answer = again.get("/photos/1/photo.jpg")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        _assert_stops(again, signal.SIGHUP)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def _assert_stops(
    site: Site, sig: signal.Signals, kill: Callable[[int, signal.Signals], None] = os.kill
) -> str:
    """Signal the site; assert that all its processes end in time, without a traceback. Return its output.

    Args:
        kill: ``os.killpg`` signals all processes, as Ctrl-C does.
    """
    processes, busy = site.processes(), busy_factor()
    stopped_s = time.monotonic()
    kill(site.process.pid, sig)
    out, err = site.process.communicate(timeout=60)
    took_s = time.monotonic() - stopped_s
    assert took_s < 5 * max(busy, busy_factor())
    until_gone(processes)
    assert "Traceback" not in out + err
    return out


# SIGHUP is not tested here: until the server runs, it ends the process without a clean-up, like a kill.
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM], ids=lambda sig: sig.name)
def test_stop_during_the_start_leaves_no_process(tmp_path: Path, sig: signal.Signals) -> None:
    with _serving(tmp_path) as site:
        # At this point the object store is running, and the workers are not.
        site.until(lambda: len(site.processes()) >= 2)
        processes = site.processes()
        os.kill(site.process.pid, sig)
        site.process.communicate(timeout=60)
        until_gone(processes)


def test_backlog_survives_a_kill_in_the_middle(tmp_path: Path) -> None:
    with serving(tmp_path) as unchecked:
        browser, page = registered(unchecked.url), unchecked.url + "/upload"
        token = {"csrf_token": form_token(browser, page)}
        assert browser.post(page, token, files=_jpegs(_BACKLOG), timeout=60).ok
        browser.close()

    engine = build_engine(Settings(data_dir=tmp_path))

    def verdicts() -> int:
        with reading(engine) as connection:
            return int(connection.execute(select(func.count(check_log.c.verdict))).scalar_one())

    assert verdicts() == 0
    with _serving(tmp_path, CATCHECK_WORKERS=1) as site:
        site.until(lambda: verdicts() > 0)
        os.killpg(site.process.pid, signal.SIGSTOP)  # so that no photo is checked while processes are listed
        processes = site.processes()
        site.process.kill()
        until_gone(processes)
    assert 0 < verdicts() < _BACKLOG, "the site was not killed in the middle"

    # Photos that were claimed before the kill are due again when their lease expires, so expire it now.
    with closing(sqlite3.connect(tmp_path / "catloader.sqlite3")) as raw, raw:
        raw.execute("UPDATE images SET lease_until = '2000-01-01 00:00:00.000000' WHERE status = 'checking'")
    with _serving(tmp_path, CATCHECK_SWEEP_S=0.2) as site:
        site.until(lambda: verdicts() == _BACKLOG)
        _assert_stops(site, signal.SIGTERM)
    with reading(engine) as connection:
        checked = select(check_log.c.photo_id).where(check_log.c.verdict.is_not(None))
        assert len(set(connection.execute(checked).scalars())) == _BACKLOG
        left = select(func.count()).where(photos.c.status.in_(["pending", "checking"]))
        assert connection.execute(left).scalar_one() == 0
    engine.dispose()


_STARTS = """
import json, os, signal, sys
from catloader.cli import main
import catloader.server.commands

for line in sys.stdin:
    environ, *output = json.loads(line)
    child = os.fork()
    if not child:
        os.environ.clear()
        os.environ.update(environ)
        for descriptor, path in enumerate((os.devnull, *output)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
        signal.alarm(120)  # in case the site starts
        main(["serve"], prog_name="catloader")
        os._exit(99)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
Start = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def starts() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported `serve`. For each line that it reads, it runs `serve` in a forked child."""
    command = [sys.executable, "-c", _STARTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.fixture
def start(starts: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return a function that runs `serve` until it ends and returns (exit code, stdout, stderr)."""

    def run(folder: Path, **settings: object) -> tuple[int, str, str]:
        defaults = {"CATLOADER_DATA_DIR": folder, "CATCHECK_MODEL": "efficientnet_lite0"}
        environ = environ_without_settings(**{**defaults, "CATLOADER_PORT": free_port(), **settings})
        output = tmp_path_factory.mktemp("output")
        out, err = output / "out", output / "err"
        assert starts.stdin and starts.stdout
        starts.stdin.write(json.dumps([environ, str(out), str(err)]) + "\n")
        starts.stdin.flush()
        return int(starts.stdout.readline()), out.read_text(), err.read_text()

    return run


def _a_file(folder: Path) -> dict[str, object]:
    (folder / "file").write_text("not a folder")
    return {"CATLOADER_DATA_DIR": folder / "file"}


def _below_a_file(folder: Path) -> dict[str, object]:
    return {"CATLOADER_DATA_DIR": _a_file(folder)["CATLOADER_DATA_DIR"] / Path("data")}  # type: ignore[operator]


def _unwritable(folder: Path) -> dict[str, object]:
    if os.geteuid() == 0:  # root can write to a folder of any mode
        return {"CATLOADER_DATA_DIR": "/sys/catloader"}
    folder.chmod(0o500)
    return {}


def _garbage(folder: Path) -> dict[str, object]:
    (folder / "catloader.sqlite3").write_bytes(b"this is not a database " * 500)
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


def _read_only(folder: Path) -> dict[str, object]:
    path = folder / "site.sqlite3"
    engine = make_engine(path)
    migrate(engine)
    engine.dispose()
    return {"DATABASE_URL": f"sqlite:///file:{path}?mode=ro&uri=true"}


def _no_weights(_folder: Path) -> dict[str, object]:
    return {"CATCHECK_MODEL": "resnet50", "CATCHECK_WEIGHTS_DIR": "/nowhere"}


def _no_subject(_folder: Path) -> dict[str, object]:
    return {"CATCHECK_SUBJECT": "unicorn"}


def _nonsense(_folder: Path) -> dict[str, object]:
    return {"CATLOADER_WEB_THREADS": "many"}


def _no_postgresql(_folder: Path) -> dict[str, object]:
    return {"DATABASE_URL": f"postgresql://u:hush@127.0.0.1:{free_port()}/cats"}


def _at_sign_in_password(_folder: Path) -> dict[str, object]:
    return {"DATABASE_URL": f"postgresql://u:p@ss-hush@127.0.0.1:{free_port()}/cats"}


def _password_in_query(_folder: Path) -> dict[str, object]:
    return {"DATABASE_URL": f"postgresql://u@127.0.0.1:{free_port()}/cats?password=hush"}


def _port_that_is_not_a_number(_folder: Path) -> dict[str, object]:
    return {"DATABASE_URL": "postgresql://u:hush@127.0.0.1:port/cats"}


def _no_s3(_folder: Path) -> dict[str, object]:
    return {**_S3_KEYS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}


def _s3_without_scheme(_folder: Path) -> dict[str, object]:
    return {**_S3_KEYS, "AWS_ENDPOINT_URL_S3": "127.0.0.1:9000"}


def _wrong_rate(_folder: Path) -> dict[str, object]:
    return {"CATLOADER_LOGIN_RATE": "often", "CATLOADER_WEB_PROCESSES": 2}


def _links_to_this_machine(_folder: Path) -> dict[str, object]:
    return {"CATLOADER_DELIVERY": "url", "CATLOADER_HOST": "0.0.0.0"}


def _wrong_host_name(_folder: Path) -> dict[str, object]:
    return {"CATLOADER_TRUSTED_HOSTS": "https://cats.example.org"}


def _wrong_webhook_secret(_folder: Path) -> dict[str, object]:
    return {"CATCHECK_WEBHOOK_SECRET": "whsec_", "CATLOADER_WEB_PROCESSES": 2}


@pytest.fixture(scope="module")
def on_all_addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Site]]:
    """A data folder and a site on it that listens on all IPv6 and IPv4 addresses."""
    folder = tmp_path_factory.mktemp("site")
    settings = {"CATLOADER_HOST": "::", "CATCHECK_DISPATCH": "internal", "CATCHECK_SWEEP_S": 3600}
    with _serving(folder, **settings) as site:
        site.first_response_s()
        yield folder, site
        site.stop()


def test_wake_ups_reach_a_site_on_all_ipv6_addresses(on_all_addresses: tuple[Path, Site]) -> None:
    _, site = on_all_addresses
    account = {"email": "ann@example.org", "password": _PASSWORD}
    assert site.post("/register", "/register", data=account).ok
    site.until(lambda: site.get("/readyz").json()["checker"]["state"] == "ready")
    assert site.post("/upload", "/upload", files=_jpegs(1)).ok
    site.until(lambda: site.get("/api/photos/status?ids=1").json()["photos"][0]["final"])


def test_second_site_on_the_same_folder_is_refused_and_harms_nothing(
    on_all_addresses: tuple[Path, Site], start: Start
) -> None:
    folder, first = on_all_addresses
    _assert_one_line(start(folder), "Another CatLoader runs on the data folder")
    assert first.get("/readyz").json()["object_store"] == "ok"


def test_kubernetes_service_of_the_sites_name_is_one_warning(tmp_path: Path, start: Start) -> None:
    """The start continues until it refuses another setting."""
    code, _, err = start(tmp_path, CATLOADER_PORT="tcp://10.96.0.12:8000", **_no_disk(tmp_path))
    warning, error = err.splitlines()
    assert "which Kubernetes sets for a service of that name; the default 8000 is used" in warning
    assert error.startswith("Error: ")
    assert "CATLOADER_MIN_FREE_BYTES" in error
    assert code == 1


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (_a_file, "is a file"),
        (_below_a_file, "is a file, or is below a file"),
        (_unwritable, "cannot be written to"),
        (_garbage, "is broken: file is not a database"),
        (_truncated, "is broken: database disk image is malformed"),
        (_read_only, "attempt to write a readonly database"),
        (_no_disk, "CATLOADER_MIN_FREE_BYTES"),
        (_no_weights, "`catloader models fetch resnet50` gets them"),
        (_no_subject, "no subject 'unicorn'"),
        (_nonsense, "it must be a whole number"),
        (_no_postgresql, "does not answer"),
        (_at_sign_in_password, "u:***@127.0.0.1:"),
        (_password_in_query, "does not answer"),
        (_port_that_is_not_a_number, "DATABASE_URL is (hidden); the port after the host must be a number"),
        (_no_s3, "did not answer: connection refused"),
        (_s3_without_scheme, "AWS_ENDPOINT_URL_S3 is '127.0.0.1:9000'; it must be an address"),
        (_wrong_rate, "CATLOADER_LOGIN_RATE is 'often'"),
        (_links_to_this_machine, "its links work on this machine only; use `app`"),
        (_wrong_host_name, "CATLOADER_TRUSTED_HOSTS is 'https://cats.example.org'; it must be host names"),
        (_wrong_webhook_secret, "CATCHECK_WEBHOOK_SECRET is (hidden); it must be whsec_ followed by base64"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else None,
)
def test_reason_for_a_failed_start_is_one_line(
    tmp_path: Path, start: Start, broken: Callable[[Path], dict[str, object]], reason: str
) -> None:
    _assert_one_line(start(tmp_path, **broken(tmp_path)), reason)


class _KeepsNothing(BaseHTTPRequestHandler):
    """An S3 server whose keys may see that buckets exist and do nothing else."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

    do_GET = do_DELETE = do_HEAD  # noqa: N815 - the server's names

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_missing_right_is_one_line(tmp_path: Path, start: Start) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _KeepsNothing) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        ended = start(tmp_path, **_S3_KEYS, AWS_ENDPOINT_URL_S3=url)
        server.shutdown()
    sentences = (
        "The keys lack the right s3:PutObject on the bucket catloader-photos. "
        "`catloader doctor` tests every right that the site needs."
    )
    _assert_one_line(ended, sentences)


def test_port_in_use_is_one_line(tmp_path: Path, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = start(tmp_path / "data", CATLOADER_PORT=port)
    _assert_one_line(ended, f"Port {port} of 127.0.0.1 is in use")


def _assert_one_line(ended: tuple[int, str, str], reason: str) -> None:
    code, out, err = ended
    assert code == 1
    assert out in ("", "Starting CatLoader ...\n")
    assert re.fullmatch(rf"Error: .*{re.escape(reason)}.*\n", err), err
    assert "hush" not in err
