"""A new site whose buckets already have the photos of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.server.database import migrated_database
from catloader.server.shared_buckets import report_shared_buckets
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from tests.support.object_stores import empty_buckets, settings_of, store_of
from tests.support.serving import serving


def test_photos_of_another_site_in_the_buckets_of_a_new_one_are_reported(
    s3_server: EmbeddedS3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``gc`` of either site would delete what only the other one names."""
    store = store_of(s3_server, ("shared-photos", "shared-thumbnails"))
    empty_buckets(store)
    variables = {**settings_of(s3_server, store), "CATLOADER_DATA_DIR": tmp_path}
    settings = Settings.from_environment({name: str(value) for name, value in variables.items()})
    with migrated_database(settings, may_create=True) as engine:
        caplog.clear()
        store.put(ObjectKind.PHOTO, "notes.txt", b"bytes")
        report_shared_buckets(settings)
        assert caplog.messages == []
        store.put(ObjectKind.PHOTO, f"{'0a' * 16}.jpg", b"bytes")
        report_shared_buckets(settings)
        (sentence,) = caplog.messages
        assert "the bucket shared-photos has photos" in sentence
        caplog.clear()
        Users(engine).create("anna@example.org", "hash", utcnow())
        report_shared_buckets(settings)
        assert caplog.messages == []
    empty_buckets(store)


def test_a_site_reports_them_at_its_start(s3_server: EmbeddedS3, tmp_path: Path) -> None:
    store = store_of(s3_server, ("shared-photos", "shared-thumbnails"))
    empty_buckets(store)
    store.put(ObjectKind.PHOTO, f"{'0a' * 16}.jpg", b"bytes")
    settings = {**settings_of(s3_server, store), "CATCHECK_DISPATCH": "off"}
    with serving(tmp_path, **settings) as site:
        assert "the bucket shared-photos has photos" in site.log
    empty_buckets(store)
