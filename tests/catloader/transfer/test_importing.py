"""The parts of an import, without a database and an object store."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from catloader.checks.dispatch import Off
from catloader.errors import CatLoaderError, NotFound, StoreFull, StoreUnavailable, UploadsBusy
from catloader.intake.prepare import Prepared
from catloader.settings import Settings
from catloader.store.kinds import ObjectKind
from catloader.store.s3.listing import Listed
from catloader.store.s3.objects import ObjectStore
from catloader.transfer.importing import Importer, Result
from catloader.transfer.journal import ImportRunning, Journal
from catloader.transfer.sources import BucketSource, SourceError, SourceFile
from checker.pixels.renditions import Crop
from tests.support.object_stores import store_at


def _file(name: str) -> SourceFile:
    return SourceFile(name, "1", lambda: b"of all files")


class _Files:
    """A ``Source`` of files: those with the suffix of a photo are photos, the others are skipped."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.taken = 0
        """Photos that were handed out."""

    def files(self, on_skip: Callable[[str], object]) -> Iterator[SourceFile]:
        for name in self._names:
            if name.endswith(".txt"):
                on_skip(name)
            else:
                self.taken += 1
                yield _file(name)


def _prepared(data: bytes, _owner_id: int = 1) -> Prepared:
    digest = hashlib.sha256(data).hexdigest()
    return Prepared(data, data, 1, 1, 1, Crop(0, 0, 1), digest, digest, None)


def _importer(
    folder: Path,
    prepare: Callable[[bytes, int], Prepared],
    *,
    known: set[bytes] | None = None,
    **settings: Any,
) -> Importer:
    """Return an importer for a dry run."""
    unused: Any = None
    return Importer(
        Settings(data_dir=folder, **{"min_free_bytes": 0, **settings}),
        1,
        prepare=prepare,
        photos=unused,
        objects=unused,
        dispatcher=Off(),
        known=set() if known is None else known,
        dry_run=True,
    )


def _dry_run(
    folder: Path, prepare: Callable[[bytes, int], Prepared], *names: str, **others: Any
) -> list[Result]:
    importer = _importer(folder, prepare, **others)
    return [outcome.result for outcome in importer.run(_Files(*names), None, at_once=2)]


def test_few_files_are_read_in_advance(tmp_path: Path) -> None:
    """Each file, and the photo made from it, is held in memory."""
    files = _Files(*(f"{number}.jpg" for number in range(500)))
    results = _importer(tmp_path, _prepared).run(files, None, at_once=2)
    assert next(results).name == "0.jpg"
    assert files.taken == 2 * 2 + 1
    assert len(list(results)) == 499


def test_files_that_are_no_photos_are_counted_wherever_they_are(tmp_path: Path) -> None:
    results = _dry_run(tmp_path, _prepared, "a.txt", "b.jpg", "c.txt")
    assert sorted(results) == [Result.NO_PHOTO, Result.NO_PHOTO, Result.WOULD_IMPORT]


def test_a_file_waits_while_the_decoders_are_busy(tmp_path: Path) -> None:
    busy = [UploadsBusy("Too many photos.")]

    def prepare(data: bytes, owner_id: int) -> Prepared:
        if busy:
            raise busy.pop()
        return _prepared(data, owner_id)

    assert _dry_run(tmp_path, prepare, "a.jpg") == [Result.WOULD_IMPORT]


def test_refusals_that_every_later_file_would_get_end_the_import(tmp_path: Path) -> None:
    def prepare(_data: bytes, _owner_id: int) -> Prepared:
        raise StoreUnavailable("The database does not answer.")

    with pytest.raises(StoreUnavailable):
        _dry_run(tmp_path, prepare, "a.jpg", "b.jpg")
    with pytest.raises(StoreFull):
        _dry_run(tmp_path, _prepared, "a.jpg", min_free_bytes=2**60)


def test_only_one_of_two_simultaneous_copies_is_imported(tmp_path: Path) -> None:
    together = Barrier(2)

    class Known(set[bytes]):
        """Makes two threads look up a digest at the same moment, unless the importer prevents that."""

        def __contains__(self, digest: object) -> bool:
            is_known = super().__contains__(digest)
            with suppress(BrokenBarrierError):
                together.wait(0.2)
            return is_known

    results = _dry_run(tmp_path, _prepared, "a.jpg", "b.jpg", known=Known())
    assert sorted(results) == [Result.DUPLICATE, Result.WOULD_IMPORT]


def test_the_journal_of_a_killed_import_is_read_up_to_the_line_that_was_cut(tmp_path: Path) -> None:
    first, second = _file("a.jpg"), _file("b.jpg")
    killed = Journal(tmp_path, "photos", 1, resume=False)
    killed.add(first)
    (path,) = tmp_path.iterdir()
    killed.close()
    with path.open("ab") as file:
        file.write(b'"12\xff')
    resumed = Journal(tmp_path, "photos", 1, resume=True)
    resumed.add(second)
    resumed.close()
    again = Journal(tmp_path, "photos", 1, resume=True)
    assert (again.has(first), again.has(second), again.has(_file("c.jpg"))) == (True, True, False)
    others = [Journal(tmp_path, *others, resume=True) for others in (("photos", 2), ("other", 1))]
    assert not any(other.has(first) for other in others)
    again.close()
    anew = Journal(tmp_path, "photos", 1, resume=False)
    assert not anew.has(first)
    anew.close()
    last = Journal(tmp_path, "photos", 1, resume=True)
    assert not last.has(first)
    for journal in (last, *others):
        journal.close()


def test_an_import_that_runs_already_is_refused(tmp_path: Path) -> None:
    """Two runs, as of a cron job that takes longer than its interval, would store each photo twice."""
    running = Journal(tmp_path, "photos", 1, resume=False)
    running.add(_file("a.jpg"))
    for resume in (False, True):
        with pytest.raises(ImportRunning, match=r"^An import of photos for this account is running; wait "):
            Journal(tmp_path, "photos", 1, resume=resume)
    Journal(tmp_path, "other photos", 1, resume=False).close()
    running.close()
    resumed = Journal(tmp_path, "photos", 1, resume=True)
    assert resumed.has(_file("a.jpg")), "the refused run emptied the journal"
    resumed.close()


def test_a_journal_that_was_removed_while_it_was_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishing, lock = Journal(tmp_path, "photos", 1, resume=False), fcntl.flock
    (path,) = tmp_path.iterdir()

    def lock_late(file: int, operation: int) -> None:
        monkeypatch.undo()
        finishing.remove()
        finishing.close()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    journal = Journal(tmp_path, "photos", 1, resume=False)
    assert path.exists()
    journal.close()


class _Bucket(ObjectStore):
    """A bucket with a large object and an object that another program has just deleted."""

    closed = False
    modified_at = datetime(2026, 1, 31, tzinfo=UTC)

    def pages(self, bucket: str, prefix: str = "", *, threads: int = 1) -> Iterator[list[Listed]]:
        yield [Listed("large.jpg", self.modified_at, 10**9)]

    def open(self, kind: ObjectKind, key: str) -> tuple[Generator[bytes, None, None], int]:
        if key == "gone.jpg":
            raise NotFound(f"{key} is not in the store.")
        return self._chunks_of(kind), 10**9

    def _chunks_of(self, _kind: ObjectKind) -> Generator[bytes, None, None]:
        try:
            for _ in range(10):
                yield b"100 bytes " * 10
            raise CatLoaderError("More was read than an upload may have.")
        finally:
            self.closed = True


def test_no_more_of_an_object_is_read_than_the_limit_for_uploads() -> None:
    bucket = store_at("http://127.0.0.1:1", kind=_Bucket)
    source = BucketSource(bucket, "", max_bytes=250)
    assert len(source._read("large.jpg")) == 251
    assert isinstance(bucket, _Bucket) and bucket.closed
    with pytest.raises(SourceError, match=r"^The object is gone\.$"):
        source._read("gone.jpg")


def test_a_resumed_import_reads_an_object_that_has_changed(tmp_path: Path) -> None:
    bucket = store_at("http://127.0.0.1:1", kind=_Bucket)
    assert isinstance(bucket, _Bucket)
    source, journal = BucketSource(bucket, "", 9), Journal(tmp_path, "s3://photos", 1, resume=False)
    (before,) = source.files(lambda _: None)
    journal.add(before)
    journal.close()
    resumed = Journal(tmp_path, "s3://photos", 1, resume=True)
    assert all(map(resumed.has, source.files(lambda _: None)))
    bucket.modified_at += timedelta(seconds=1)
    assert not any(map(resumed.has, source.files(lambda _: None)))
    resumed.close()
