"""An account's export is generated while it is being sent."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

from sqlalchemy import Engine

from catloader.accounts.export import ExportedAccount, zip_of
from catloader.store.db.photos.gallery import Gallery
from catloader.store.db.photos.photo_rows import Photo
from tests.support.rows import add_photos, some_user

_BYTES = 3_000_000


def test_one_photo_is_in_memory_at_a_time(engine: Engine) -> None:
    owner_id, gallery = some_user(engine).id, Gallery(engine)
    add_photos(engine, 3, owner_id=owner_id)
    read_ids: list[int] = []

    def read(photo: Photo) -> bytes:
        read_ids.append(photo.id)
        return bytes([photo.id % 256]) * _BYTES

    account = ExportedAccount("anna@example.org", datetime(2026, 1, 1, tzinfo=UTC).isoformat())
    pieces = zip_of(account, lambda: gallery.all_of(owner_id), read, lambda _id: [])
    sent = [next(pieces)]
    assert len(read_ids) == 1
    sent += pieces
    with zipfile.ZipFile(io.BytesIO(b"".join(sent))) as archive:
        assert archive.testzip() is None
        assert [archive.read(f"photos/{id}.jpg") for id in read_ids] == [
            bytes([id % 256]) * _BYTES for id in read_ids
        ]
