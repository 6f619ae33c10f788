"""The port of ``catloader worker`` for probes and metrics: real processes, a real database and S3."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import requests
from pydantic import SecretStr
from sqlalchemy import Engine

from catloader.demo.client import free_port, until
from catloader.errors import StartupError
from catloader.server.probes import Probes, answering_probes
from catloader.settings import Settings
from catloader.store.db.engine import make_engine
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.wiring import Services
from tests.support.object_stores import stores
from tests.support.rows import add_photos
from tests.support.serving import plain_session
from tests.support.site import running_site, services_of
from tests.support.worker import working

_TOKEN = "a token of the operator"


def test_a_worker_that_waits_for_its_site_is_alive_and_not_ready(tmp_path: Path) -> None:
    with working(tmp_path, CATLOADER_METRICS_TOKEN=_TOKEN) as worker:
        assert worker.get("/livez").json() == {"ok": True}
        not_ready = worker.get("/readyz?verbose")
        assert (not_ready.status_code, not_ready.json()) == (503, {"ready": False})
        tried = [worker.get("/metrics", token).status_code for token in ("", "another", _TOKEN)]
        assert tried == [401, 401, 503]
        assert worker.get("/").status_code == 404
    assert not worker.answers()


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)
def test_a_worker_reports_its_state_and_counts_attempts(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    add_photos(engine, 1)  # its objects are missing, so the attempt fails
    settings = stores(engine, s3_server, objects)
    with working(tmp_path, **settings, CATLOADER_METRICS_TOKEN=_TOKEN) as worker:
        state = worker.wait_until_idle()
        assert state["database"] == state["object_store"] == "ok"
        assert state["checker"]["model"] == "efficientnet_lite0"
        counted = re.compile(
            r'^catcheck_images_total\{model="[^"]*",outcome="error"\} [1-9]', re.M
        )  # more attempts may have followed
        for _ in until(60, "The attempt was not counted"):
            text = worker.get("/metrics", _TOKEN).text
            if counted.search(text):
                break
        assert 'catcheck_photos{status="cat"} 0.0' in text


def test_without_a_token_a_worker_has_no_metrics(tmp_path: Path) -> None:
    with answering_probes(Settings(data_dir=tmp_path, probe_port=free_port())) as probes:
        assert probes
        for services in (None, cast("Services", SimpleNamespace())):  # before and after the worker has begun
            probes.services = services
            assert _get(probes, "/metrics").status_code == 404


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Probes]:
    """The probes of a process that is waiting for its site."""
    settings = Settings(data_dir=tmp_path, probe_port=free_port(), metrics_token=SecretStr(_TOKEN))
    with answering_probes(settings) as probes:
        assert probes
        yield probes


def _get(probes: Probes, path: str) -> requests.Response:
    with plain_session() as session:
        url = f"http://127.0.0.1:{probes.server_address[1]}{path}"
        return session.get(url, headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=30)


def test_a_worker_whose_stores_cannot_be_reached_is_not_ready_and_logs_the_reason(
    waiting: Probes,
    s3_server: EmbeddedS3,
    shared_objects: ObjectStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = make_engine(f"sqlite:///{tmp_path / 'no-such-folder' / 'x.sqlite3'}")
    address = f"http://127.0.0.1:{free_port()}"
    with running_site(gone, s3_server, shared_objects, tmp_path, s3_endpoint_url=address) as app:
        waiting.services = services_of(app)
        for _ in range(2):
            ready = _get(waiting, "/readyz")
            assert ready.status_code == 503
            parts = {"database": "no answer", "object_store": "no answer"}
            assert ready.json() == {"ready": False, "checker": {"state": "elsewhere"}, **parts}
        metrics = _get(waiting, "/metrics")
        assert (metrics.status_code, list(metrics.json())) == (503, ["error"])
        assert str(gone.url.database) in metrics.json()["error"]
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    reason = f"not ready: The object store at {address} did not answer: connection refused."
    assert lines.count(reason) == 1, "the reason may be logged once a minute only"


def test_a_bug_in_a_probe_is_logged_and_does_not_affect_other_probes(
    waiting: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    waiting.services = cast("Services", SimpleNamespace())
    with pytest.raises(requests.ConnectionError):
        _get(waiting, "/readyz")
    (record,) = caplog.records
    assert record.message == "a probe failed"
    assert record.exc_info and record.exc_info[0] is AttributeError
    assert _get(waiting, "/livez").ok


def test_probes_are_served_although_idle_connections_take_all_places(waiting: Probes) -> None:
    address = ("127.0.0.1", waiting.server_address[1])
    with ExitStack() as stack, plain_session() as session:
        for _ in range(20):
            stack.enter_context(socket.create_connection(address))
        for _ in until(60, "The probe got no answer"):
            try:
                if session.get(f"http://127.0.0.1:{waiting.server_address[1]}/livez", timeout=30).ok:
                    break
            except requests.ConnectionError:
                continue  # closed immediately, because all places are taken


def test_places_are_free_again_after_no_thread_could_be_started(
    waiting: Probes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(10):
            with pytest.raises(requests.ConnectionError):
                _get(waiting, "/livez")
    assert "can't start new thread" in caplog.text
    assert _get(waiting, "/livez").ok


def test_a_port_that_is_in_use_is_reported_in_one_sentence(tmp_path: Path, waiting: Probes) -> None:
    port = waiting.server_address[1]
    sentence = f"Port {port} of 127.0.0.1 is in use; stop the program that has it, or set CATCHECK_PROBE_PORT"
    settings = Settings(data_dir=tmp_path, probe_port=port)
    with pytest.raises(StartupError, match=sentence), answering_probes(settings):
        pass
