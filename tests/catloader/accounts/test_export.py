"""An account's export is generated while it is being sent."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Engine

from catloader.accounts.export import ExportedAccount, zip_of
from catloader.store.db.photos.gallery import Gallery
from catloader.store.db.photos.photo_rows import Photo
from tests.support.rows import add_photos, some_user

_BYTES = 3_000_000
_ACCOUNT = ExportedAccount("anna@example.org", datetime(2026, 1, 1, tzinfo=UTC).isoformat())


def test_one_photo_is_in_memory_at_a_time(engine: Engine) -> None:
    owner_id, gallery = some_user(engine).id, Gallery(engine)
    add_photos(engine, 3, owner_id=owner_id)
    read_ids: list[int] = []

    def read(photo: Photo) -> bytes:
        read_ids.append(photo.id)
        return bytes([photo.id % 256]) * _BYTES

    pieces = zip_of(_ACCOUNT, lambda: gallery.all_of(owner_id), read, lambda _id: [])
    sent = [next(pieces)]
    assert len(read_ids) == 1
    sent += pieces
    with zipfile.ZipFile(io.BytesIO(b"".join(sent))) as archive:
        assert archive.testzip() is None
        assert [archive.read(f"photos/{id}.jpg") for id in read_ids] == [
            bytes([id % 256]) * _BYTES for id in read_ids
        ]


def test_a_photo_that_is_uploaded_after_the_others_were_sent_is_listed_without_a_file(engine: Engine) -> None:
    owner_id, gallery = some_user(engine).id, Gallery(engine)
    ids: list[int] = []

    def pages() -> Iterator[list[Photo]]:  # called for the files, and then for the list
        ids.extend(add_photos(engine, 1, owner_id=owner_id))
        return gallery.all_of(owner_id)

    pieces = zip_of(_ACCOUNT, pages, lambda _photo: b"x", lambda _id: [])
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        rows = json.loads(archive.read("verdicts.json"))["photos"]
        name = f"photos/{ids[0]}.jpg"
        assert archive.namelist() == [name, "verdicts.json"]
    assert [(row["id"], row["file"]) for row in rows] == [(ids[0], name), (ids[1], None)]
