"""A RabbitMQ server for tests of Celery, if Debian's ``rabbitmq-server`` is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu.connection import Connection

from catloader.demo.client import free_port, until

_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""The actual programs; the scripts in /usr/sbin change to the user of the package."""
_START_S = 120


class RabbitMq:
    """The server; ``start`` and ``stop`` may be called repeatedly."""

    def __init__(self, folder: Path) -> None:
        self._port, names = free_port(), free_port()
        self._log = folder / "output"
        self._names = ["epmd", "-port", str(names), "-address", "127.0.0.1"]
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
            "ERL_EPMD_PORT": str(names),
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"tests{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        epmd, its name server, is started as a child of this process, so that it ends with the tests.
        """
        with self._log.open("ab") as log:
            for command in (self._names, [str(_PROGRAMS / "rabbitmq-server")]):
                self._processes.append(
                    subprocess.Popen(
                        command, env=self._environ, stdout=log, stderr=log, start_new_session=True
                    )
                )
        for _ in until(_START_S, "RabbitMQ does not answer"):
            assert all(process.poll() is None for process in self._processes), self._log.read_text()
            if self._answers():
                break

    def kill(self) -> None:
        """Kill the server without warning, as if its machine failed."""
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def control(self, *words: str) -> str:
        """Run ``rabbitmqctl``, and return what it prints."""
        command = [str(_PROGRAMS / "rabbitmqctl"), "-q", *words]
        return subprocess.check_output(command, env=self._environ, text=True)

    def _answers(self) -> bool:
        with Connection(self.url, connect_timeout=5) as connection:  # type: ignore[no-untyped-call]
            try:
                connection.connect()
            except (OSError, *connection.connection_errors):
                return False
            return True


@contextmanager
def rabbitmq() -> Iterator[RabbitMq]:
    """Run a server until the end of the block; skip the test if RabbitMQ is not installed, also in CI.

    CI uses only what the repository contains or fetches with a digest. No such package contains RabbitMQ; in
    CI the same code runs with Valkey.
    """
    if not (_PROGRAMS / "rabbitmq-server").is_file() or shutil.which("epmd") is None:
        pytest.skip("no RabbitMQ: apt install rabbitmq-server (CI has none: no package with a digest)")
    with tempfile.TemporaryDirectory(prefix="rabbitmq-") as name:
        server = RabbitMq(Path(name))
        try:
            server.start()
            yield server
        finally:
            server.kill()
