"""A site with photos."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Engine, update

from catloader.store.db.engine import writing
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from tests.support.commands import run
from tests.support.rows import add_photos

__all__ = ["Keys", "run", "stored"]

Keys = dict[ObjectKind, str]


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
