"""``catloader serve`` in a separate process, for tests that need real sockets and real signals."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import requests

from catloader.demo.client import Visitor, free_port
from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from tests.support import forked, run_folder
from tests.support.environ import environ_without_settings
from tests.support.processes import alive, command_of, end
from tests.support.site import PASSWORD

_STOP_S = 60
_DATABASE = "catloader.sqlite3"


@dataclass(frozen=True)
class Serving:
    """A running site; its output is in ``log_file``."""

    process: forked.Command
    folder: Path
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def visitor(self) -> Visitor:
        return Visitor(self.url, self.must_run)

    def must_run(self) -> None:
        assert self.process.poll() is None, self.log

    def object_store(self) -> psutil.Process:
        """Return the embedded S3's process."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if "mini" in command_of(child))

    def web_processes(self) -> list[psutil.Process]:
        children = alive(psutil.Process(self.process.pid).children())
        return [child for child in children if "mini" not in command_of(child)]  # without the object store

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Stop the site; return its exit code."""
        os.kill(self.process.pid, sig)
        return self.process.wait(_STOP_S)


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Serving]:
    """Run a site on ``folder`` until the end of the block; ``settings`` (by variable) override the defaults.

    The site is ready when the block begins. A new folder gets a database with tables, to save time:
    ``tests/acceptance/test_make_run.py`` tests a start without them.
    """
    if "DATABASE_URL" not in settings:
        add_tables(folder)
    port = free_port()
    environment = environ_without_settings(
        **{
            "CATLOADER_DATA_DIR": folder,
            "CATLOADER_PORT": port,
            "CATCHECK_DISPATCH": "off",
            "CATLOADER_LOGIN_RATE": "1000 per minute",
            "CATLOADER_REGISTER_RATE": "1000 per minute",
            "CATLOADER_MIN_FREE_BYTES": 0,
            **settings,
        }
    )
    (folder / "log").write_bytes(b"")
    process = forked.start("catloader", ["serve"], environment, folder / "log")
    site = Serving(process, folder, f"http://127.0.0.1:{port}")
    try:
        site.visitor().wait_until_ready()
        yield site
    finally:
        end(process, _STOP_S)


def add_tables(folder: Path) -> None:
    """Add a database with all tables to a data folder, unless it has one."""
    if not (folder / _DATABASE).exists():
        shutil.copyfile(_tables(), folder / _DATABASE)


@cache
def _tables() -> Path:
    """Make a database with all tables once, because that takes a third of a second of a core."""
    folder = Path(tempfile.mkdtemp(prefix="tables-", dir=run_folder.parent()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = make_engine(folder / _DATABASE)
    migrate(engine)
    engine.dispose()
    return folder / _DATABASE


def plain_session() -> requests.Session:
    """Return a session that ignores the environment's proxies."""
    session = requests.Session()
    session.trust_env = False
    return session


def registered(url: str) -> requests.Session:
    """Return a session that is logged in to a new account and asks for JSON."""
    session = plain_session()
    account = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
    form = {"csrf_token": form_token(session, url + "/register"), **account}
    assert session.post(url + "/register", data=form, timeout=60).ok
    session.headers["Accept"] = "application/json"
    return session


def form_token(session: requests.Session, url: str) -> str:
    """Return the token of the form that ``url`` serves."""
    page = session.get(url, headers={"Accept": "text/html"}, timeout=60).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token, page
    return token[1]


def cookies_of(session: requests.Session) -> str:
    """Return the session's Cookie header."""
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
