"""A site with photos, and the commands ``backup`` and ``restore`` on it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, update

from catloader.cli import main
from catloader.store.db.engine import writing
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.rows import add_photos

Run = Callable[..., Result]
Keys = dict[ObjectKind, str]


@pytest.fixture
def run(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path) -> Run:
    """Run a command on the site; keyword arguments replace its settings."""
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


def stored(engine: Engine, objects: ObjectStore, *, explained: bool = False) -> tuple[int, Keys]:
    """Add a photo with its objects, each with random bytes; return its id and the objects' keys."""
    kinds = [*ObjectKind] if explained else [ObjectKind.PHOTO, ObjectKind.THUMBNAIL]
    contents = {kind: secrets.token_bytes(2000) for kind in kinds}
    keys = {kind: f"{secrets.token_hex(16)}.jpg" for kind in kinds}
    (id,) = add_photos(
        engine,
        1,
        photo_key=keys[ObjectKind.PHOTO],
        thumbnail_key=keys[ObjectKind.THUMBNAIL],
        sha256=hashlib.sha256(contents[ObjectKind.PHOTO]).hexdigest(),
        thumbnail_sha256=hashlib.sha256(contents[ObjectKind.THUMBNAIL]).hexdigest(),
        status="cat",
    )
    for kind in kinds:
        objects.put(kind, keys[kind], contents[kind])
    if explained:
        values = {"explanation_key": keys[ObjectKind.EXPLANATION], "explanation_of": "x"}
        with writing(engine) as connection:
            connection.execute(update(photos).where(photos.c.id == id).values(values))
    return id, keys
