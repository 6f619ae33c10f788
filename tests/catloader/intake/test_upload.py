"""The upload use case on real databases and a real S3 server."""

from __future__ import annotations

import gc
import hashlib
import io
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from types import FrameType
from typing import BinaryIO

import pytest
from PIL import Image
from sqlalchemy import Engine, event

from catloader.errors import StoreUnavailable
from catloader.intake.prepare import Prepared
from catloader.intake.upload import Preparer, Refused, Uploaded, upload
from catloader.settings import Settings
from catloader.store.db.accounts.quotas import Quota, Quotas
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.gallery import Gallery, Selection
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.photos.photos import Photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import store_away
from tests.support.preparing import prepare_here
from tests.support.watched_store import watched_store


class CountingDispatcher:
    """A ``Dispatcher`` that records the number of pending photos at each wake-up."""

    def __init__(self, photos: Photos) -> None:
        self._photos = photos
        self.wakes: list[int] = []

    def wake(self) -> None:
        self.wakes.append(self._photos.count_by_status()["pending"])

    def close(self) -> None:
        pass


class Site:
    def __init__(self, engine: Engine, objects: ObjectStore, settings: Settings) -> None:
        self.engine, self.objects, self.settings = engine, objects, settings
        self.photos = Photos(engine)
        self.dispatcher = CountingDispatcher(self.photos)
        self.owner_id = Users(engine).create("ada@example.org", "hash", utcnow()).id

    def rows(self) -> list[Photo]:
        """Return the rows, newest first."""
        return Gallery(self.engine).older(Selection(self.owner_id), None, 10)

    def upload(
        self,
        *files: tuple[str, BinaryIO | bytes],
        captions: Sequence[str] = (),
        prepare: Preparer | None = None,
    ) -> list[Uploaded | Refused]:
        return upload(
            files,
            captions,
            self.owner_id,
            settings=self.settings,
            prepare=prepare or prepare_here(self.settings),
            photos=self.photos,
            objects=self.objects,
            dispatcher=self.dispatcher,
        )

    def reserved(self) -> int:
        """Return the number of objects in the deletion ledger, due now or later."""
        return len(Deletions(self.engine).due(1000, utcnow() + timedelta(days=365)))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, max_file_bytes=2**20, max_files=6, min_free_bytes=0)


@pytest.fixture
def site(engine: Engine, objects: ObjectStore, settings: Settings) -> Site:
    return Site(engine, objects, settings)


@pytest.fixture
def away(engine: Engine, settings: Settings) -> Site:
    """A site whose S3 server can't be reached."""
    return Site(engine, store_away(), settings)


def photo(colour: str = "red", size: tuple[int, int] = (60, 40), format: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, format)
    return out.getvalue()


def test_refused_file_is_not_kept_until_the_next_garbage_collection(site: Site) -> None:
    of_other_tests = _frames_of_uploads()
    (refused,) = site.upload(("a.png", photo()[:-30]))
    assert isinstance(refused, Refused)
    assert not [frame for frame in _frames_of_uploads() if frame not in of_other_tests]


def _frames_of_uploads() -> list[FrameType]:
    # isinstance would read __class__ of every object, and an object of torch warns about that.
    frames = [object_ for object_ in gc.get_objects() if type(object_) is FrameType]
    return [frame for frame in frames if frame.f_code is upload.__code__]


def test_every_file_gets_an_outcome_and_a_bad_one_affects_no_other(site: Site) -> None:
    good = photo()
    files = [("a.png", good), ("b.jpg", b"text"), ("", good), ("d.gif", b""), ("e.png", good[:-30])]
    outcomes = site.upload(*files, captions=["first", "", "third"])
    assert [outcome.name for outcome in outcomes] == [name for name, _ in files]
    assert [getattr(outcome, "status", 201) for outcome in outcomes] == [201, 415, 201, 400, 422]
    rows = site.rows()
    assert [row.id for row in reversed(rows)] == [
        outcome.photo_id for outcome in outcomes if isinstance(outcome, Uploaded)
    ]
    assert [row.caption for row in rows] == ["third", "first"]
    assert site.dispatcher.wakes == [2]  # one wake-up, after both photos were committed
    assert site.reserved() == 0


def test_row_describes_the_stored_objects(site: Site) -> None:
    site.upload(("tall.png", photo(size=(40, 60))))
    (row,) = site.rows()
    stored = site.objects.get(ObjectKind.PHOTO, row.photo_key)
    thumbnail = site.objects.get(ObjectKind.THUMBNAIL, row.thumbnail_key)
    assert row.sha256 == hashlib.sha256(stored).hexdigest()
    assert row.thumbnail_sha256 == hashlib.sha256(thumbnail).hexdigest()
    assert row.size_bytes == len(stored)
    assert (row.width_px, row.height_px, row.thumbnail_px) == (40, 60, 40)
    assert (row.crop_left_px, row.crop_top_px, row.crop_side_px) == (0, 10, 40)
    assert row.status == "pending"


def test_objects_are_reserved_then_stored_then_recorded_and_the_checker_is_woken_last(
    engine: Engine, objects: ObjectStore, s3_server: EmbeddedS3, settings: Settings
) -> None:
    """So a process that dies at any moment leaves no row without objects and no object without an entry."""
    store = watched_store(s3_server, objects)
    site = Site(engine, store, settings)
    put: list[str] = []

    def before_put(key: str) -> None:
        reserved = [row.key for row in Deletions(engine).due(10, utcnow() + timedelta(days=365))]
        assert key in reserved
        assert (site.rows(), site.dispatcher.wakes) == ([], [])
        put.append(key)

    store.before_put = before_put
    site.upload(("a.png", photo()))
    (row,) = site.rows()
    assert put == [row.photo_key, row.thumbnail_key]
    assert site.reserved() == 0


def test_photo_whose_thumbnail_can_not_be_stored_is_not_recorded(
    engine: Engine, objects: ObjectStore, s3_server: EmbeddedS3, settings: Settings
) -> None:
    store = watched_store(s3_server, objects)
    site = Site(engine, store, settings)
    put: list[str] = []

    def before_put(key: str) -> None:
        put.append(key)
        if len(put) == 2:
            raise StoreUnavailable("The store is away.")

    store.before_put = before_put
    (outcome,) = site.upload(("a.png", photo()))
    assert isinstance(outcome, Refused)
    assert (outcome.status, site.rows(), site.dispatcher.wakes) == (503, [], [])
    assert store.exists(ObjectKind.PHOTO, put[0])
    assert site.reserved() == 2


def test_keys_are_random_and_do_not_contain_the_name(site: Site) -> None:
    site.upload(*[(f"../../{place}.png", photo()) for place in range(3)])
    rows = site.rows()
    keys = [key for row in rows for key in (row.photo_key, row.thumbnail_key)]
    assert len(set(keys)) == 6
    for key in keys:
        stem, suffix = key.split(".")
        assert (len(bytes.fromhex(stem)), suffix) == (16, "jpg")


def test_copies_sent_at_the_same_moment_are_one_photo_and_its_duplicates(
    engine: Engine, objects: ObjectStore, settings: Settings
) -> None:
    site = Site(engine, objects, settings)
    site.photos = Photos(engine, Quotas(engine, Quota(0, 0)))
    together, good = Barrier(3), photo()
    prepare_one = prepare_here(settings)

    def prepare(data: bytes, owner_id: int) -> Prepared:
        prepared = prepare_one(data, owner_id)
        together.wait(30)
        return prepared

    with ThreadPoolExecutor(3) as pool:
        uploads = [pool.submit(site.upload, ("a.png", good), prepare=prepare) for _ in range(3)]
        outcomes = [outcome for upload in uploads for outcome in upload.result()]
    first = min(outcome.photo_id for outcome in outcomes if isinstance(outcome, Uploaded))
    duplicates = [outcome.duplicate_of for outcome in outcomes if isinstance(outcome, Uploaded)]
    assert sorted(duplicates, key=bool) == [None, first, first]


def test_upload_writes_in_two_transactions(engine: Engine, objects: ObjectStore, settings: Settings) -> None:
    """One transaction before the store and one after it; each waits for the disk and the database's lock."""
    site = Site(engine, objects, settings)
    site.photos = Photos(engine, Quotas(engine, Quota(9, 10**9)))
    commits: list[object] = []
    note = commits.append
    event.listen(engine, "commit", note)
    try:
        assert isinstance(site.upload(("a.png", photo()))[0], Uploaded)
    finally:
        event.remove(engine, "commit", note)
    assert len(commits) == 2


def test_stream_is_read_up_to_one_byte_over_the_limit(site: Site) -> None:
    endless = io.BytesIO(b"\xff\xd8\xff" + bytes(10 * 2**20))
    (outcome,) = site.upload(("huge.jpg", endless))
    assert isinstance(outcome, Refused)
    assert outcome.status == 413
    assert endless.tell() == site.settings.max_file_bytes + 1


def test_files_beyond_the_limit_are_refused(site: Site) -> None:
    outcomes = site.upload(*[(f"{place}.png", photo()) for place in range(8)])
    assert [type(outcome) for outcome in outcomes] == [Uploaded] * 6 + [Refused] * 2
    assert outcomes[-1] == Refused("7.png", "You can upload up to 6 photos at a time.", 413)


def test_captions_are_cleaned_and_limited(site: Site) -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    nasty = f"  Mia\t\r\nand\v{family} <b>  "
    captions = [nasty, "x" * 501, "x" * 500, "Mia\0", "Mia \x1b[31m", "Mia \ud83d"]
    outcomes = site.upload(*(("a", photo()) for _ in captions), captions=captions)
    assert outcomes[1] == Refused("a", "The caption is longer than 500 characters.", 400)
    sentence = "The text contains a control character. Type it again without it."
    assert outcomes[3:] == [Refused("a", sentence, 400)] * 3
    assert [row.caption for row in site.rows()] == ["x" * 500, f"Mia \nand\n{family} <b>"]


def test_unavailable_store_refuses_every_file_after_one_attempt(
    away: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "catloader.intake.upload"):
        outcomes = away.upload(("a.png", photo()), ("b.png", photo()))
    sentence = "The photo store does not answer, so this photo was not stored. Try again in a moment."
    assert outcomes == [Refused("a.png", sentence, 503, 5), Refused("b.png", sentence, 503, 5)]
    lines = [record for record in caplog.records if record.name == "catloader.intake.upload"]
    assert len(lines) == 1
    assert away.rows() == []
    assert away.reserved() == 2  # both of the first file: the store may have received one of its puts
    assert away.dispatcher.wakes == []


class _LosingPhotos(Photos):
    """Loses its database connection directly after a photo was recorded."""

    def same(self, owner_id: int, sha256: str) -> int | None:
        raise StoreUnavailable("The database does not answer.")


def test_photo_that_was_recorded_is_reported_as_stored(site: Site) -> None:
    site.photos = _LosingPhotos(site.engine)
    (outcome,) = site.upload(("a.png", photo()))
    (row,) = site.rows()
    assert outcome == Uploaded("a.png", row.id, None)


def test_upload_to_a_deleted_account_leaves_only_due_deletions(site: Site) -> None:
    Users(site.engine).delete(site.owner_id, utcnow())
    (outcome,) = site.upload(("a.png", photo()))
    assert isinstance(outcome, Refused)
    assert outcome.status == 404
    assert site.reserved() == 2
    assert site.dispatcher.wakes == []


def test_nearly_full_disk_refuses_uploads(engine: Engine, objects: ObjectStore, tmp_path: Path) -> None:
    site = Site(engine, objects, Settings(data_dir=tmp_path, min_free_bytes=2**60))
    (outcome,) = site.upload(("a.png", photo()))
    assert isinstance(outcome, Refused)
    assert outcome.status == 507
    assert site.reserved() == 0
