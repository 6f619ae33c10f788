"""A site whose object store lacks the photos of its database."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from catloader.server.database import migrated_database
from catloader.server.missing_photos import report_missing_photos
from catloader.settings import Settings
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import delete_object, settings_of
from tests.support.rows import add_photos
from tests.support.serving import serving


def _settings(server: EmbeddedS3, objects: ObjectStore, folder: Path, **changes: object) -> dict[str, str]:
    variables = {**settings_of(server, objects), "CATLOADER_DATA_DIR": folder, **changes}
    return {name: str(value) for name, value in variables.items()}


def test_a_store_without_any_of_the_newest_photos_is_reported(
    s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.from_environment(_settings(s3_server, objects, tmp_path))
    with migrated_database(settings, may_create=True) as engine:
        caplog.clear()
        report_missing_photos(settings)
        assert caplog.messages == [], "a new site has no photos"
        key = f"{secrets.token_hex(16)}.jpg"
        add_photos(engine, 1, photo_key=key)
        add_photos(engine, 2)
        objects.put(ObjectKind.PHOTO, key, b"bytes")
        report_missing_photos(settings)
        assert caplog.messages == [], "single photos may be lost"
        delete_object(objects, ObjectKind.PHOTO, key)
        report_missing_photos(settings)
        (sentence,) = caplog.messages
        assert (
            f"{objects.photos_bucket} of {s3_server.endpoint_url} has none of the newest photos" in sentence
        )
        away = Settings.from_environment(
            _settings(s3_server, objects, tmp_path, AWS_ENDPOINT_URL_S3="http://127.0.0.1:1")
        )
        report_missing_photos(away)
        assert caplog.messages == [sentence]


@pytest.mark.slow
def test_a_site_with_a_misspelt_bucket_says_so_at_its_start(
    s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    variables = _settings(s3_server, objects, tmp_path)
    with migrated_database(Settings.from_environment(variables), may_create=True) as engine:
        key = f"{secrets.token_hex(16)}.jpg"
        add_photos(engine, 1, photo_key=key)
    objects.put(ObjectKind.PHOTO, key, b"bytes")
    misspelt = {"CATLOADER_PHOTOS_BUCKET": f"misspelt-{secrets.token_hex(4)}"}
    for changes, count in (({}, 0), (misspelt, 1)):
        with serving(tmp_path, **variables | changes) as site:
            assert site.log.count("has none of the newest photos of this site") == count
