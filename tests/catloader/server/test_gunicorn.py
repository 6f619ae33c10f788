"""Web processes that cannot start, under the real supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import requests

from catloader.demo.client import until

_ROOT = Path(__file__).parents[3]
_SITE = """
import logging, os, socket, sys
from pathlib import Path
from types import SimpleNamespace

from flask import Flask

from catloader.errors import StartupError
from catloader.server.gunicorn import Server
from catloader.server.request_parser import TimeLimits


def make():
    if Path(sys.argv[1]).exists():
        if reason := Path(sys.argv[1]).read_text():
            raise StartupError(reason)
        raise OSError("no memory for another process")
    app = Flask("site")
    app.get("/healthz", endpoint="healthz")(lambda: "")
    app.get("/pid")(lambda: str(os.getpid()))
    return app, SimpleNamespace(start=lambda: None, close=lambda: print("closed", flush=True))


def announce(url, services):
    print("announced", url, flush=True)


logging.basicConfig(format="THE SITE'S LOG %(message)s")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
limits = TimeLimits(stalled_s=10, head_s=10, body_bytes_per_s=1)
server = Server(listener, make, announce, processes=1, threads=2, connections=100, limits=limits)
sys.exit(server.run())
"""


def test_a_variable_of_gunicorn_does_not_prevent_the_start() -> None:
    code = "from catloader.server.commands import import_server; print(import_server().__name__)"
    env = {**os.environ, "WEB_CONCURRENCY": "auto"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("Server\n", "")


_DESCRIPTORS = """
import resource
from catloader.server.worker import _within_descriptors
for most in (4096, 600, 310):  # falling, because only root may raise the limit again
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(400, most), most))
    print(_within_descriptors(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_connections_fit_into_the_files_that_the_process_may_open() -> None:
    command = [sys.executable, "-c", _DESCRIPTORS]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "1000 3300\n100 600\n8 310\n"


def _pid(url: str) -> int:
    try:
        return int(requests.get(url, timeout=1).text)
    except requests.RequestException:
        return 0


def test_site_survives_a_web_process_that_cannot_start(tmp_path: Path) -> None:
    """The site is announced once, and messages of gunicorn are lines of the site's log."""
    trouble, log = tmp_path / "trouble", tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", _SITE, str(trouble)],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as site,
    ):
        try:
            assert site.stdout
            address = f"http://127.0.0.1:{int(site.stdout.readline())}"
            url = f"{address}/pid"
            assert site.stdout.readline() == f"announced {address}\n"
            for _ in until(60, "The site did not start"):
                if first := _pid(url):
                    break
            trouble.touch()
            os.kill(first, signal.SIGKILL)
            for _ in until(60, "No other process was tried"):
                if "a web process could not start; trying again" in log.read_text():
                    break
            trouble.unlink()
            for _ in until(60, "No other process answered"):
                if _pid(url) not in (0, first):
                    break
            for _ in range(20):  # time in which the second process could wrongly announce the site again
                assert _pid(url)
        finally:
            site.terminate()
        assert site.wait(60) == 0
        assert site.stdout.read() == "closed\n"
    (line,) = (line for line in log.read_text().splitlines() if "SIGKILL" in line)
    assert line.startswith(f"THE SITE'S LOG Worker (pid:{first}) ")


def test_site_whose_first_process_cannot_start_ends(tmp_path: Path) -> None:
    trouble = tmp_path / "trouble"
    command = [sys.executable, "-c", _SITE, str(trouble)]
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    for reason in ("", "The model is missing."):
        trouble.write_text(reason)
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert ("Traceback" in ended.stderr) is not bool(reason)
        assert ended.stderr.startswith(f"Error: {reason}\n") is bool(reason)


def test_a_closed_terminal_does_not_stop_a_site_under_nohup(tmp_path: Path) -> None:
    """The shell and the kernel send SIGHUP; a site without ``nohup`` stops, as ``test_make_run.py`` tests."""
    command = ["nohup", sys.executable, "-c", _SITE, str(tmp_path / "no trouble")]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    ) as site:
        try:
            assert site.stdout
            address = f"http://127.0.0.1:{int(site.stdout.readline())}"
            assert site.stdout.readline() == f"announced {address}\n"
            pid = _pid(f"{address}/pid")
            assert pid
            os.killpg(site.pid, signal.SIGHUP)
            for _ in range(20):  # time in which the supervisor or the worker could wrongly end
                assert _pid(f"{address}/pid") == pid
        finally:
            site.terminate()
        assert site.wait(60) == 0
