"""Commands on a site that is not running: a real database and a real object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from catloader.cli import main
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore

Run = Callable[..., Result]


@pytest.fixture
def run(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Run:
    """Run a command on the site; keyword arguments override its settings."""
    settings = {
        "CATLOADER_DATA_DIR": str(tmp_path / "data"),
        "CATLOADER_MIN_FREE_BYTES": "0",
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "CATLOADER_PHOTOS_BUCKET": objects.photos_bucket,
        "CATLOADER_THUMBNAILS_BUCKET": objects.thumbnails_bucket,
    }

    def run(*words: object, **others: str) -> Result:
        return CliRunner().invoke(
            main, [str(word) for word in words], env=settings | others, catch_exceptions=False
        )

    return run
