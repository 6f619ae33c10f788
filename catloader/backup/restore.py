"""Restore a backup into an empty site: the objects first, the rows at the end."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from catloader.backup.folder import (
    DISK_FULL,
    BackupFolder,
    Manifest,
    bytes_of,
    copy_data_files,
    digest_of,
)
from catloader.errors import BackupRefused, NotFound
from catloader.store.db.engine import Engine
from catloader.store.db.snapshot import PhotoObjects, Snapshot, refuse_unknown, refuse_used
from catloader.store.kinds import ObjectKind, StoredObject
from catloader.store.s3.objects import ObjectStore
from models.temporary import temporary_folder

_AT_ONCE = 8


@dataclass(slots=True)
class Restored:
    """The result of a run."""

    manifest: Manifest
    accounts: int = 0
    photos: int = 0
    objects: int = 0
    damaged: list[int] = field(default_factory=list)
    """Photos left out because the backup's file of one of their objects is missing or has another digest."""


def restore(
    folder: BackupFolder,
    engine: Engine,
    store: ObjectStore,
    data_dir: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Restored:
    """Restore into an empty database of either kind; the caller holds the lock of the data folder.

    The rows come last, in one transaction: a run that is killed leaves an empty database, and the next run
    uses the objects that were copied.

    Args:
        progress: called with the numbers of finished photos and of all.

    Raises:
        BackupRefused: the folder is not a backup, the backup is damaged or from a newer version, or the
            database has accounts.
        StoreUnavailable: the database or the object store does not answer.
    """
    manifest = folder.manifest()
    if not manifest.state:
        raise BackupRefused(f"The backup in {folder.path} never finished: run `catloader backup` again.")
    refuse_unknown(manifest.revision)
    refuse_used(engine)
    sums, result = folder.sums(manifest), Restored(manifest)
    _compare(folder, manifest, sums)
    state = folder.path / manifest.state
    with _naming_a_full_disk(data_dir), temporary_folder(".restore-", data_dir) as draft:
        copy = draft / "catloader.sqlite3"
        shutil.copyfile(state / copy.name, copy)
        snapshot = Snapshot(copy)
        try:
            snapshot.update()
            _put_objects(folder, sums, snapshot, store, result=result, progress=progress)
            copy_data_files(state / "data", data_dir)
            snapshot.restore(engine)
            result.accounts, result.photos = snapshot.counts()
        finally:
            snapshot.close()
    return result


@contextlib.contextmanager
def _naming_a_full_disk(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # the backup is only read
        if error.errno not in DISK_FULL:
            raise
        raise BackupRefused(
            f"The disk of the data folder {data_dir} is full, and no row was restored. Free some space and "
            "run the command again."
        ) from error


def _compare(folder: BackupFolder, manifest: Manifest, sums: Mapping[str, str]) -> None:
    for path, digest in sums.items():
        if path.startswith(manifest.state) and digest_of(folder.path / path) != digest:
            raise BackupRefused(f"{folder.path / path} is missing or damaged: restore from another backup.")


def _put_objects(
    folder: BackupFolder,
    sums: Mapping[str, str],
    snapshot: Snapshot,
    store: ObjectStore,
    *,
    result: Restored,
    progress: Callable[[int, int], None],
) -> None:
    """Put the objects of all photos; leave out photos whose files are damaged."""
    store_is_empty = not any(next(store.pages(store.bucket_of(kind)), []) for kind in ObjectKind)
    total, done = snapshot.counts()[1], 0

    def put(photo: PhotoObjects) -> set[ObjectKind]:
        """Put a photo's objects; return the kinds that are damaged. No object of a damaged photo is put."""
        contents: dict[StoredObject, bytes] = {}
        for stored, digest in photo.objects:
            path = folder.object_path(stored)
            expected = digest or sums.get(str(path.relative_to(folder.path)))
            data = bytes_of(path, expected)
            if data is not None:
                contents[stored] = data
        missing = {stored.kind for stored, _ in photo.objects if stored not in contents}
        if not missing - {ObjectKind.EXPLANATION}:
            for stored, data in contents.items():
                if store_is_empty or not _has(store, stored, data):
                    store.put(*stored, data)
        return missing

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for page in snapshot.objects():
            missing = dict(zip((photo.photo_id for photo in page), pool.map(put, page), strict=True))
            damaged = [id for id, kinds in missing.items() if kinds - {ObjectKind.EXPLANATION}]
            snapshot.leave_out(damaged)
            snapshot.forget_explanations(
                [id for id, kinds in missing.items() if ObjectKind.EXPLANATION in kinds]
            )
            result.damaged += damaged
            result.objects += sum(
                len(photo.objects) - len(missing[photo.photo_id])
                for photo in page
                if photo.photo_id not in damaged
            )
            done += len(page)
            progress(done, total)


def _has(store: ObjectStore, stored: StoredObject, data: bytes) -> bool:
    try:
        return store.get(*stored) == data
    except NotFound:
        return False
