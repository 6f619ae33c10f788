"""Objects of deleted rows are deleted from S3, even after failures in between."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert, update

from catloader.deletion import DeletionWorker
from catloader.errors import StoreUnavailable
from catloader.store.db.accounts.receipts import Receipts
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import make_engine, writing
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import deletions
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import store_away, store_of
from tests.support.rows import add_photo, some_user


@pytest.fixture
def ledger(engine: Engine) -> Deletions:
    return Deletions(engine)


def reserve(engine: Engine, keys: list[str], due: datetime) -> None:
    with writing(engine) as connection:
        connection.execute(
            insert(deletions),
            [{"kind": ObjectKind.PHOTO, "key": key, "not_before": due} for key in keys],
        )


def worker(
    ledger: Deletions,
    objects: ObjectStore,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sweep_s: float = 0.05,
) -> DeletionWorker:
    return DeletionWorker(ledger, objects, sweep_s=sweep_s, now=now)


def test_each_pass_expires_the_bin(ledger: Deletions, objects: ObjectStore) -> None:
    passes, twice = [0], threading.Event()

    def expire() -> int:
        passes[0] += 1
        if passes[0] == 2:
            twice.set()
        return 0

    deletion = DeletionWorker(ledger, objects, sweep_s=0.05, expire=expire)
    deletion.start()
    try:
        assert twice.wait(60)
    finally:
        deletion.close()


def test_an_unexpected_error_does_not_end_the_thread(
    ledger: Deletions, objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    passes = threading.Semaphore(0)

    def expire() -> int:
        passes.release()
        raise ValueError("a bug")

    deletion = DeletionWorker(ledger, objects, sweep_s=0.02, expire=expire)
    deletion.start()
    try:
        assert all(passes.acquire(timeout=60) for _ in range(3))
    finally:
        deletion.close()
    assert "could not be processed" in caplog.text


def test_an_unusable_folder_of_partial_uploads_does_not_stop_deletions_and_is_logged_once(
    engine: Engine, ledger: Deletions, objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    passes = threading.Semaphore(0)

    def expire_partial() -> int:
        passes.release()
        raise OSError(errno.EROFS, "Read-only file system", "partial-uploads/lock")

    objects.put(ObjectKind.PHOTO, "due.jpg", b"photo")
    reserve(engine, ["due.jpg"], datetime.now(UTC))
    deletion = DeletionWorker(ledger, objects, sweep_s=0.02, expire_partial=expire_partial)
    deletion.start()
    try:
        for _ in range(3):
            assert passes.acquire(timeout=60)
    finally:
        deletion.close()
    assert not objects.exists(ObjectKind.PHOTO, "due.jpg")
    (warning,) = [record for record in caplog.records if record.levelname != "INFO"]
    assert warning.exc_info is None
    assert "Read-only file system: 'partial-uploads/lock'" in warning.message


def test_due_objects_are_deleted_and_leave_the_ledger(
    engine: Engine, ledger: Deletions, objects: ObjectStore
) -> None:
    now = datetime.now(UTC)
    for key in ("a.jpg", "b.jpg", "later.jpg"):
        objects.put(ObjectKind.PHOTO, key, b"x")
    reserve(engine, ["a.jpg", "b.jpg", "never-stored.jpg"], now)
    reserve(engine, ["later.jpg"], now + timedelta(hours=1))
    assert worker(ledger, objects).work_off() == 3
    assert not objects.exists(ObjectKind.PHOTO, "a.jpg")
    assert not objects.exists(ObjectKind.PHOTO, "b.jpg")
    assert objects.exists(ObjectKind.PHOTO, "later.jpg")
    assert ledger.count() == 1


def test_objects_of_thousands_of_attempts_are_retried_after_an_hour_at_most(
    engine: Engine, ledger: Deletions
) -> None:
    now = datetime.now(UTC)
    reserve(engine, ["a.jpg"], now)
    with writing(engine) as connection:
        connection.execute(update(deletions).values(attempts=2000))
    assert worker(ledger, store_away(), lambda: now).work_off() == 0
    assert ledger.due(10, now + timedelta(minutes=59)) == []
    (entry,) = ledger.due(10, now + timedelta(minutes=61))
    assert entry.attempts == 2001


def test_rows_of_an_older_version_are_deleted_from_the_bucket_they_name(
    engine: Engine, ledger: Deletions, objects: ObjectStore
) -> None:
    """The settings may name other buckets now."""
    now = datetime.now(UTC)
    for kind in (ObjectKind.PHOTO, ObjectKind.THUMBNAIL):
        objects.put(kind, "a.jpg", b"x")
    with writing(engine) as connection:
        row = {"bucket": objects.thumbnails_bucket, "key": "a.jpg", "not_before": now}
        connection.execute(insert(deletions).values(row))
    assert worker(ledger, objects).work_off() == 1
    assert objects.exists(ObjectKind.PHOTO, "a.jpg")
    assert not objects.exists(ObjectKind.THUMBNAIL, "a.jpg")
    assert ledger.count() == 0


def test_deletion_is_retried_until_the_store_is_available(
    engine: Engine, ledger: Deletions, objects: ObjectStore, s3_server: EmbeddedS3
) -> None:
    objects.put(ObjectKind.PHOTO, "a.jpg", b"x")
    start = datetime.now(UTC).replace(microsecond=0)
    reserve(engine, ["a.jpg"], start)
    assert (
        worker(
            ledger, store_away((objects.photos_bucket, objects.thumbnails_bucket)), lambda: start, sweep_s=10
        ).work_off()
        == 0
    )
    assert ledger.count() == 1
    assert ledger.due(10, start + timedelta(seconds=9)) == []
    assert [entry.attempts for entry in ledger.due(10, start + timedelta(seconds=10))] == [1]
    assert worker(ledger, objects, lambda: start + timedelta(seconds=10)).work_off() == 1
    assert not objects.exists(ObjectKind.PHOTO, "a.jpg")


def test_an_unreachable_store_is_tried_once_in_each_pass(engine: Engine, ledger: Deletions) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    reserve(engine, ["a.jpg", "b.jpg", "c.jpg"], start)
    assert worker(ledger, store_away(), lambda: start, sweep_s=10).work_off() == 0
    assert sorted(entry.attempts for entry in ledger.due(10, start + timedelta(hours=1))) == [0, 0, 1]


class _Refusing(ObjectStore):
    """A store whose server reports that it did not delete one object."""

    refused = "b.jpg"

    def delete_many(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        others = super().delete_many(bucket, [key for key in keys if key != self.refused])
        return others | ({self.refused: "AccessDenied"} if self.refused in keys else {})


class _RefusingAll(ObjectStore):
    def delete_many(self, _bucket: str, keys: Sequence[str]) -> dict[str, str]:
        return {key: f"The object store refused {key} (InternalError)." for key in keys}


def test_a_store_that_refuses_every_object_is_logged_once(
    engine: Engine,
    ledger: Deletions,
    objects: ObjectStore,
    s3_server: EmbeddedS3,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    reserve(engine, ["a.jpg", "b.jpg", "c.jpg"], start)
    refusing = store_of(s3_server, (objects.photos_bucket, objects.thumbnails_bucket), kind=_RefusingAll)
    assert worker(ledger, refusing, lambda: start, sweep_s=10).work_off() == 0
    assert [record.message.count("InternalError") for record in caplog.records] == [1]


def test_an_object_that_the_store_does_not_delete_is_retried_and_delays_no_other(
    engine: Engine,
    ledger: Deletions,
    objects: ObjectStore,
    s3_server: EmbeddedS3,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    for key in ("a.jpg", "b.jpg", "c.jpg"):
        objects.put(ObjectKind.PHOTO, key, b"x")
    reserve(engine, ["a.jpg", "b.jpg", "c.jpg"], start)
    buckets = (objects.photos_bucket, objects.thumbnails_bucket)
    refusing = store_of(s3_server, buckets, kind=_Refusing)
    assert worker(ledger, refusing, lambda: start, sweep_s=10).work_off() == 2
    assert [objects.exists(ObjectKind.PHOTO, f"{name}.jpg") for name in "abc"] == [False, True, False]
    assert "b.jpg" in caplog.text
    assert "AccessDenied" in caplog.text
    assert ledger.due(10, start + timedelta(seconds=9)) == []
    (entry,) = ledger.due(10, start + timedelta(seconds=10))
    assert (entry.key, entry.attempts) == ("b.jpg", 1)


class _Keeping(ObjectStore):
    """A store that reports success and keeps the object, like with versioning or a retention rule."""

    def delete_many(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        return {}


def test_receipt_is_not_done_while_the_store_still_has_an_object(
    engine: Engine, ledger: Deletions, objects: ObjectStore, s3_server: EmbeddedS3
) -> None:
    start, token = datetime.now(UTC), "the token of a link"
    user = some_user(engine)
    photo = Photos(engine).by_id(add_photo(engine, user.id))
    assert photo
    for kind, key in ((ObjectKind.PHOTO, photo.photo_key), (ObjectKind.THUMBNAIL, photo.thumbnail_key)):
        objects.put(kind, key, b"x")
    assert Users(engine).delete(user.id, receipt=token_digest(token)) == 1
    keeping = store_of(s3_server, (objects.photos_bucket, objects.thumbnails_bucket), kind=_Keeping)
    assert worker(ledger, keeping, sweep_s=10).work_off() == 0
    receipt = Receipts(engine).of(token)
    assert receipt
    assert (receipt.photos, receipt.objects, receipt.left, receipt.done_at) == (1, 2, 2, None)
    assert worker(ledger, objects, lambda: start + timedelta(seconds=60)).work_off() == 2
    receipt = Receipts(engine).of(token)
    assert receipt
    assert receipt.left == 0
    assert receipt.done_at


class _Silent(ObjectStore):
    """A store that refuses to say whether one object exists, like with a policy for single keys."""

    refused = ""

    def exists(self, kind: ObjectKind, key: str) -> bool:
        if key == self.refused:
            raise StoreUnavailable(f"The object store refused {key} (403).")
        return super().exists(kind, key)


def test_an_object_whose_existence_is_refused_delays_no_other(
    engine: Engine, ledger: Deletions, objects: ObjectStore, s3_server: EmbeddedS3
) -> None:
    user = some_user(engine)
    (kept,) = [Photos(engine).by_id(add_photo(engine, user.id)) for _ in range(3)][2:]
    assert kept
    assert Users(engine).delete(user.id, receipt=token_digest("token")) == 3
    store = store_of(s3_server, (objects.photos_bucket, objects.thumbnails_bucket), kind=_Silent)
    assert isinstance(store, _Silent)
    store.refused = kept.photo_key
    assert worker(ledger, store, sweep_s=10).work_off() == 5
    (entry,) = ledger.due(10, datetime.now(UTC) + timedelta(seconds=60))
    assert (entry.key, entry.attempts) == (kept.photo_key, 1)
    receipt = Receipts(engine).of("token")
    assert receipt
    assert (receipt.left, receipt.done_at) == (1, None)


class _Overtaken(ObjectStore):
    """A store whose response is late, so that another process does its work meanwhile."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def delete_many(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        refused = super().delete_many(bucket, keys)
        self.meanwhile()
        self.meanwhile = lambda: None
        return refused


def test_objects_that_become_due_while_two_processes_delete_the_same_ones_are_deleted(
    engine: Engine, ledger: Deletions, objects: ObjectStore, s3_server: EmbeddedS3
) -> None:
    now = datetime.now(UTC)
    for key in ("a.jpg", "b.jpg"):
        objects.put(ObjectKind.PHOTO, key, b"x")
    reserve(engine, ["a.jpg"], now)

    def other_process() -> None:
        assert worker(ledger, objects).work_off() == 1
        reserve(engine, ["b.jpg"], now)

    slow = store_of(s3_server, (objects.photos_bucket, objects.thumbnails_bucket), kind=_Overtaken)
    assert isinstance(slow, _Overtaken)
    slow.meanwhile = other_process
    worker(ledger, slow).work_off()
    assert not objects.exists(ObjectKind.PHOTO, "b.jpg")
    assert ledger.count() == 0


def test_a_wake_up_starts_a_pass_and_close_ends_the_thread(
    engine: Engine, ledger: Deletions, objects: ObjectStore
) -> None:
    deleting = worker(ledger, objects, sweep_s=3600)
    deleting.start()
    objects.put(ObjectKind.PHOTO, "a.jpg", b"x")
    reserve(engine, ["a.jpg"], datetime.now(UTC))
    deleting.wake()
    gone = threading.Event()
    for _ in range(3000):
        if not objects.exists(ObjectKind.PHOTO, "a.jpg"):
            gone.set()
            break
        gone.wait(0.02)
    assert gone.is_set()
    deleting.close()
    assert "deletion" not in {thread.name for thread in threading.enumerate()}


def test_an_unavailable_database_is_one_line_in_the_log(
    objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    passes = threading.Semaphore(0)
    engine = make_engine("postgresql+psycopg://tests@127.0.0.1:1/none")

    def expire() -> int:
        passes.release()
        return 0

    deleting = DeletionWorker(Deletions(engine), objects, sweep_s=0.02, expire=expire)
    deleting.start()
    assert all(passes.acquire(timeout=20) for _ in range(4))
    deleting.close()
    engine.dispose()
    (record,) = caplog.records
    assert record.exc_info is None
    assert "does not answer" in record.getMessage()
