"""A site whose statements PostgreSQL cancels, because the operator has set a time limit."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from catloader.demo.client import until
from catloader.store.db.engine import make_engine, writing
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import photos
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.postgres import change_settings
from tests.support.site import Person, jpeg, running_site, services_of


@pytest.fixture(params=["statement_timeout = 300", "lock_timeout = 300"])
def limited(
    request: pytest.FixtureRequest,
    empty_url: str,
    s3_server: EmbeddedS3,
    objects: ObjectStore,
    tmp_path: Path,
) -> Iterator[tuple[Engine, Flask]]:
    """An engine without a limit, and a running site with a limit and a checker."""
    engine = make_engine(empty_url)
    migrate(engine)
    change_settings(empty_url, request.param)  # does not affect the engine's existing connection
    checking = {"dispatch": "thread", "model": "efficientnet_lite0", "workers": 1, "sweep_s": 1}
    with running_site(engine, s3_server, objects, tmp_path, **checking) as app:
        services_of(app).start()
        yield engine, app
    engine.dispose()


@pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)
def test_statements_that_are_ended_are_503_and_delay_checks_only(
    limited: tuple[Engine, Flask], caplog: pytest.LogCaptureFixture
) -> None:
    engine, app = limited
    anna = Person(app, "anna@example.org")
    services = services_of(app)
    assert services.checker
    assert services.checker.ready.wait(120)
    token = anna.token("/upload")
    with writing(engine) as connection:
        connection.execute(text(f"LOCK TABLE {photos.name} IN ACCESS EXCLUSIVE MODE"))
        for _ in until(60, "No claim was ended"):
            connection.execute(
                text("SELECT 1")
            )  # otherwise the limit of idle transactions would end this one
            if any("no photos could be claimed" in line for line in caplog.messages):
                break
        form = {"csrf_token": token, "photos": (io.BytesIO(jpeg()), "a.jpg")}
        for answer in (anna.get("/photos"), anna.client.post("/upload", data=form)):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    id = anna.upload_one()
    for _ in until(60, "The photo is not checked"):
        if anna.photos[0].status not in ("pending", "checking"):
            break
    assert [photo.id for photo in anna.photos] == [id]
    assert [record for record in caplog.records if record.exc_info] == []
