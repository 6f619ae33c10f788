"""An account's export is generated while it is being sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator
from datetime import UTC, datetime

from sqlalchemy import Engine

from catloader.accounts.export import ExportedAccount, zip_of
from catloader.store.db.photos.gallery import Gallery
from catloader.store.db.photos.photo_rows import Photo
from tests.support.rows import add_photos, some_user

_PIECE = 64 * 1024
_PIECES = 50


def test_no_photo_is_held_in_memory_completely(engine: Engine) -> None:
    owner_id, gallery = some_user(engine).id, Gallery(engine)
    add_photos(engine, 3, owner_id=owner_id)

    def open_photo(photo: Photo) -> tuple[Generator[bytes, None, None], int]:
        return (bytes([photo.id % 256]) * _PIECE for _ in range(_PIECES)), _PIECE * _PIECES

    account = ExportedAccount("anna@example.org", datetime(2026, 1, 1, tzinfo=UTC).isoformat())
    pieces = list(zip_of(account, lambda: gallery.all_of(owner_id), open_photo, lambda _id: []))
    assert max(map(len, pieces)) <= _PIECE
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert [entry.file_size for entry in archive.infolist()[:3]] == [_PIECE * _PIECES] * 3
