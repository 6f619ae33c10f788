"""A full disk is 507 and one line in the log, wherever the operating system reports it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.accounts.sessions import without_login
from tests.support.site import running_site


@pytest.fixture
def app(s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Iterator[Flask]:
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    with running_site(engine, s3_server, objects, tmp_path) as app:
        yield app
    engine.dispose()


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 500)])
def test_full_disk_is_507_and_one_line(
    app: Flask, caplog: pytest.LogCaptureFixture, number: int, status: int
) -> None:
    @app.get("/full")
    @without_login
    def full() -> str:
        raise OSError(number, "No space left on device")

    answer = app.test_client().get("/full", headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert ("disk is full" in (answer.json or {})["error"]) is (status == 507)
    (record,) = caplog.records
    assert (record.exc_info is None) is (status == 507)
