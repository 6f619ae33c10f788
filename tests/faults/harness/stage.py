"""A site and checkers with one data folder, whose processes are killed, stopped and restarted."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil

from catloader.demo.client import Visitor, free_port
from catloader.settings import Settings, variables
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import Services, build
from tests.support import forked
from tests.support.environ import environ_without_settings
from tests.support.processes import end
from tests.support.serving import add_tables

_ROOT = Path(__file__).parents[3]
_STOP_S = 60.0


class Stage:
    """One data folder, one object store that survives the site, and the processes started on them.

    Args:
        endpoint_url: address of a proxy for the store, if there is one.
        settings: settings by variable; they override the defaults here.
    """

    def __init__(self, folder: Path, store: EmbeddedS3, endpoint_url: str = "", **settings: object) -> None:
        self.folder, self.port, suffix = folder, free_port(), secrets.token_hex(4)
        self.checker_port = free_port()
        (folder / "data").mkdir(mode=0o700, exist_ok=True)
        if "DATABASE_URL" not in settings:
            add_tables(folder / "data")
        self.environ = environ_without_settings(
            **{
                "CATLOADER_DATA_DIR": folder / "data",
                "CATLOADER_PORT": self.port,
                "CATCHECKER_PORT": self.checker_port,
                "CATCHECKER_URL": f"http://127.0.0.1:{self.checker_port}",
                "CATCHECK_DISPATCH": "off",
                "CATCHECK_FETCH": "off",
                "CATCHECK_MODEL": "efficientnet_lite0",
                "CATCHECK_RUNTIME": "openvino",
                "CATCHECK_LEASE_S": 2,
                "CATCHECK_SWEEP_S": 1,
                "CATCHECK_BACKOFF_S": 0.5,
                "CATCHECK_MAX_ATTEMPTS": 50,
                "CATLOADER_LOGIN_RATE": "100000 per minute",
                "CATLOADER_REGISTER_RATE": "100000 per minute",
                "CATLOADER_MIN_FREE_BYTES": 0,
                "AWS_ENDPOINT_URL_S3": endpoint_url or store.endpoint_url,
                "AWS_ACCESS_KEY_ID": store.access_key_id,
                "AWS_SECRET_ACCESS_KEY": store.secret_access_key,
                "CATLOADER_PHOTOS_BUCKET": f"photos-{suffix}",
                "CATLOADER_THUMBNAILS_BUCKET": f"thumbnails-{suffix}",
                "PYTHONPATH": _ROOT,
                **settings,
            }
        )
        self.store_url = store.endpoint_url
        self.point_file, self.log_file = folder / "point", folder / "log"
        self.processes: list[forked.Command] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def start(self, *command: str, **variables: str) -> forked.Command:
        """Start ``catloader COMMAND ...`` as a process that can be killed at points.

        Args:
            variables: additional environment variables of this process.
        """
        words = [str(self.point_file), *command]
        process = forked.start("tests.faults.harness.points", words, self.environ | variables, self.log_file)
        self.processes.append(process)
        return process

    def serve(self, **variables: str) -> forked.Command:
        """Start the site; wait until it responds and, if it has a checker, until the model is loaded."""
        process = self.start("serve", **variables)

        def must_run() -> None:
            assert process.poll() is None, self.log[-4000:]

        Visitor(self.url, must_run).wait_until_ready()
        return process

    def stopped(self) -> list[psutil.Process]:
        """Return the processes that a signal has stopped."""
        running = [psutil.Process(process.pid) for process in self.processes if process.poll() is None]
        return [process for process in running if process.status() == psutil.STATUS_STOPPED]

    def web_processes(self, site: forked.Command) -> list[psutil.Process]:
        return psutil.Process(site.pid).children() if site.poll() is None else []

    def arm(self, point: str) -> None:
        """Make the next process that reaches ``point`` die there; ``stop POINT`` makes it stop there."""
        draft = self.point_file.with_suffix(".draft")
        draft.write_text(point)
        draft.rename(self.point_file)

    def reached(self, timeout_s: float = 60) -> bool:
        """Wait until a process has reached the armed point; return False if none does in time."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if not self.point_file.exists():
                return True
            time.sleep(0.01)
        self.point_file.unlink(missing_ok=True)
        return False

    def die_at(self, point: str, timeout_s: float = 60) -> bool:
        """Arm a point that a process reaches by itself, and wait until it is reached."""
        self.arm(point)
        return self.reached(timeout_s)

    @contextmanager
    def services(self) -> Iterator[Services]:
        """Yield the services of the site for the audit. They use the store directly and not its proxy."""
        names = {name for variable in variables() for name in variable.names}
        environ = {name: value for name, value in self.environ.items() if name in names}
        services = build(
            Settings.from_environment(environ | {"AWS_ENDPOINT_URL_S3": self.store_url}), checker=False
        )
        try:
            yield services
        finally:
            services.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.point_file.unlink(missing_ok=True)
        for process in reversed(self.processes):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            end(process, _STOP_S)


def kill(process: forked.Command | psutil.Process) -> None:
    """Kill a process by SIGKILL; it may have ended already."""
    try:
        process.kill()
        process.wait(_STOP_S)
    except psutil.NoSuchProcess:
        pass
