"""An account's export is generated while it is being sent."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Engine

from catloader.accounts.export import ExportedAccount, zip_of
from catloader.store.db.photos.gallery import Gallery
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.staff.reviews import Appeal, Review
from tests.support.rows import add_photos, some_user

_BYTES = 3_000_000
_ACCOUNT = ExportedAccount("anna@example.org", datetime(2026, 1, 1, tzinfo=UTC).isoformat())


def _nothing(_photo_id: int) -> tuple[list[Appeal], list[Review]]:
    return [], []


def test_one_photo_is_in_memory_at_a_time(engine: Engine) -> None:
    owner_id, gallery = some_user(engine).id, Gallery(engine)
    add_photos(engine, 3, owner_id=owner_id)
    read_ids: list[int] = []

    def read(photo: Photo) -> bytes:
        read_ids.append(photo.id)
        return bytes([photo.id % 256]) * _BYTES

    pieces = zip_of(_ACCOUNT, lambda: gallery.all_of(owner_id), read, lambda _id: [], _nothing)
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

    pieces = zip_of(_ACCOUNT, pages, lambda _photo: b"x", lambda _id: [], _nothing)
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        rows = json.loads(archive.read("verdicts.json"))["photos"]
        name = f"photos/{ids[0]}.jpg"
        assert archive.namelist() == [name, "verdicts.json"]
    assert [(row["id"], row["file"]) for row in rows] == [(ids[0], name), (ids[1], None)]


def test_a_program_can_read_the_file_while_it_arrives(engine: Engine) -> None:
    owner_id, gallery = some_user(engine).id, Gallery(engine)
    ids = add_photos(engine, 2, owner_id=owner_id)
    pieces = zip_of(
        _ACCOUNT, lambda: gallery.all_of(owner_id), lambda _photo: b"PK\x07\x08", lambda _id: [], _nothing
    )
    file = io.BytesIO(b"".join(pieces))
    for id in ids:
        assert _next_file(file) == (f"photos/{id}.jpg", b"PK\x07\x08")
    name, rows = _next_file(file)
    assert name == "verdicts.json"
    assert len(json.loads(rows)["photos"]) == 2


def _next_file(stream: io.BytesIO) -> tuple[str, bytes]:
    """Read the next file of a zip stream as Java does: without the directory at its end."""
    head = struct.unpack("<4s5H3L2H", stream.read(30))
    signature, flags, method, size, extra = head[0], head[2], head[3], head[7], head[10]
    assert (signature, extra) == (b"PK\x03\x04", 0)  # Java before version 22 can't skip sizes of 8 bytes
    name = stream.read(head[9]).decode()
    if not flags & 8:  # the size is before the data
        data = stream.read(size)
        return name, data if method == zipfile.ZIP_STORED else zlib.decompress(data, -zlib.MAX_WBITS)
    assert method == zipfile.ZIP_DEFLATED, "nothing marks the end of the data"
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(stream.read())
    assert inflater.eof
    stream.seek(-len(inflater.unused_data) + 16, io.SEEK_CUR)  # behind the sizes, which follow the data
    return name, data
