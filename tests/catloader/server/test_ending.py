"""SIGTERM of a worker: real processes, a real database and S3."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from catloader.demo.client import until
from catloader.store.db.schema import photos
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.machine import busy_factor
from tests.support.object_stores import stores
from tests.support.worker import working

_POSTGRESQL = pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)

_EXIT_S = 10.0
_CLAIMS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%claim_token%'"
)


@_POSTGRESQL
def test_a_signal_that_the_kernel_hands_to_another_thread_ends_a_worker(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with working(tmp_path, **stores(engine, s3_server, objects)) as worker:
        worker.wait_until_idle()
        main = worker.process.pid
        other = min({int(path.name) for path in Path(f"/proc/{main}/task").iterdir()} - {main})
        assert ctypes.CDLL(None).tgkill(main, other, signal.SIGTERM) == 0
        assert worker.process.wait(60) == 0


@_POSTGRESQL
def test_a_worker_that_waits_for_a_locked_database_ends_in_time(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with working(tmp_path, **stores(engine, s3_server, objects), CATCHECK_SWEEP_S=1) as worker:
        worker.wait_until_idle()
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text(f"LOCK TABLE {photos.name} IN EXCLUSIVE MODE"))  # readers are not blocked
            for _ in until(60, "The worker claims nothing"):
                connection.execute(text("SELECT pg_stat_clear_snapshot()"))
                if connection.execute(_CLAIMS).scalar_one():
                    break
            begun_s = time.monotonic()
            os.kill(worker.process.pid, signal.SIGTERM)
            assert worker.process.wait(120) == 0, "the worker was ended by the kernel's alarm"
            took_s = time.monotonic() - begun_s
    assert took_s < _EXIT_S * busy_factor()


_HANGS = """
import signal, threading
from catloader.server import ending

ending._CLEAN_UP_S = 2
ending.clean_up_on_sigterm()
try:
    print("ready", flush=True)
    signal.pause()
finally:
    threading.Event().wait()
"""


def test_a_clean_up_that_hangs_is_ended_by_the_kernel_and_shows_where_it_hangs() -> None:
    program = [sys.executable, "-c", _HANGS]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        try:
            _, log = process.communicate(timeout=20 * busy_factor())
        finally:
            process.kill()
    assert process.returncode == -signal.SIGALRM
    assert "Timeout (0:00:01)!" in log
    assert "in wait" in log
