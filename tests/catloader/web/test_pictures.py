"""Photos and thumbnails that are sent to browsers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from catloader.store.db.engine import make_engine
from catloader.store.db.migrate import migrate
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.site import Person, running_site, services_of


def test_missing_objects_are_one_line_in_the_log(
    s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(tmp_path / "test.sqlite3")
    migrate(engine)
    with running_site(engine, s3_server, objects, tmp_path) as app:
        anna = Person(app, "anna@example.org")
        id = anna.upload_one()
        photo = services_of(app).photos.by_id(id)
        assert photo
        services_of(app).objects.delete(ObjectKind.THUMBNAIL, photo.thumbnail_key)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert anna.get(f"/photos/{id}/thumbnail.jpg").status_code == 404
    engine.dispose()
    missing = [message for message in caplog.messages if "is not in the object store" in message]
    assert missing == [f"/photos/{id}/thumbnail.jpg: the thumbnail is not in the object store"]
