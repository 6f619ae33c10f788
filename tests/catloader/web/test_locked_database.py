"""Uploads, log-ins and pages while another process has locked SQLite."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.site import PASSWORD, Person, jpeg, running_site

_LOCK_S = 10.0
_HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@pytest.fixture
def app(s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    """A site on SQLite, because PostgreSQL has no lock of the whole database."""
    engine = make_engine(tmp_path / "site.sqlite3")
    migrate(engine)
    with running_site(engine, s3_server, objects, tmp_path) as app:
        yield app
    engine.dispose()


@contextmanager
def _locked(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the write lock in another process for ``seconds``, but not longer than the block."""
    command = [sys.executable, "-c", _HOLD, str(folder / "site.sqlite3"), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        yield
        holder.kill()


def _send(person: Person, token: str) -> TestResponse:
    form = {"photos": (io.BytesIO(jpeg()), "a.jpg"), "csrf_token": token}
    return person.client.post("/upload", data=form, headers={"Accept": "application/json"})


def test_requests_survive_a_lock_of_ten_seconds(app: Flask, tmp_path: Path) -> None:
    ben = Person(app, "ben@example.org")
    uploaders = [Person(app, f"anna-{number}@example.org") for number in range(3)]
    tokens = [anna.token("/upload") for anna in uploaders]
    ben.log_out()
    login = {"email": ben.email, "password": PASSWORD, "csrf_token": ben.token("/login")}
    reader = Person(app, "reader@example.org")
    begun_s = time.monotonic()
    with _locked(tmp_path, _LOCK_S), ThreadPoolExecutor(4) as pool:
        uploads = [pool.submit(_send, *one) for one in zip(uploaders, tokens, strict=True)]
        log_in = pool.submit(ben.client.post, "/login", data=login)
        pages = [reader.get(path).status_code for path in ("/photos", "/upload", "/album", "/account")]
        pages_s = time.monotonic() - begun_s
        stored = [upload.result().status_code for upload in uploads]
        assert log_in.result().status_code == 303
    assert stored == [201] * 3
    assert pages == [200] * 4
    assert time.monotonic() - begun_s >= _LOCK_S > pages_s
    assert [len(anna.photos) for anna in uploaders] == [1] * 3
