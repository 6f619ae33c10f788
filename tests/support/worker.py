"""A ``catloader worker`` under test, in a separate process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from catloader.demo.client import free_port, until
from tests.support import forked
from tests.support.environ import environ_without_settings
from tests.support.processes import end
from tests.support.serving import plain_session


class Worker:
    """A running worker and the port of its probes."""

    def __init__(self, process: forked.Command, port: int) -> None:
        self.process, self.port = process, port

    def get(self, path: str, token: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with plain_session() as session:
            return session.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30)

    def answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_until_idle(self) -> dict[str, Any]:
        """Wait until the model is loaded and no photo is in hand; return the JSON of ``/readyz``."""
        for _ in until(120, "The worker does not get ready"):
            state = self.get("/readyz")
            if state.status_code == 200 and state.json()["checker"]["photos_in_hand"] == 0:
                break
        return dict(state.json())


@contextmanager
def working(folder: Path, **settings: object) -> Iterator[Worker]:
    """Run a worker until the end of the block; the block begins when its probes answer.

    ``settings`` are by variable.
    """
    port = free_port()
    environ = environ_without_settings(
        CATLOADER_DATA_DIR=folder,
        CATCHECK_PROBE_PORT=port,
        CATCHECK_MODEL="efficientnet_lite0",
        CATCHECK_WORKERS=1,
        **settings,
    )
    worker = Worker(forked.start("catloader", ["worker"], environ, Path(os.devnull)), port)
    try:
        for _ in until(60, "The worker does not answer"):
            assert worker.process.poll() is None
            if worker.answers():
                break
        yield worker
    finally:
        end(worker.process)
