"""Save a site into a folder: the database first, then the objects that it names."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from catloader.backup.folder import (
    BackupFolder,
    Manifest,
    copy_data_files,
    digest_of,
    write_file,
)
from catloader.errors import BackupRefused, NotFound, StoreUnavailable
from catloader.orphans import too_many
from catloader.settings import KEY_FILE
from catloader.store.db.engine import Engine, database_name, utcnow
from catloader.store.db.migrate import revisions
from catloader.store.db.object_names import ObjectNames
from catloader.store.db.snapshot import PhotoObjects, Snapshot, take
from catloader.store.kinds import ObjectKind, StoredObject
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.refusals import refuses_one

_AT_ONCE = 8
_SMALL = 100
"""Up to this number of unreferenced objects are removed, also if they are most of a small backup."""


@dataclass(slots=True)
class Saved:
    """The result of a run."""

    manifest: Manifest = field(default_factory=Manifest)
    copied: int = 0
    """Objects that were not in the backup before."""
    kept: int = 0
    """Objects that were in the backup already, with the right digest."""
    deleted_meanwhile: int = 0
    """Photos that their owners deleted, replaced or cropped between the snapshot of the database and the copy
    of their objects. The next backup has the current objects."""
    lost: list[int] = field(default_factory=list)
    """Photos left out because the object store lacks one of their objects, refuses only this object, or has
    other bytes."""
    removed: int = 0
    """Objects of the previous backup that nothing references any more."""
    not_removed: int = 0
    """Unreferenced objects that were left in place because there are suspiciously many."""


def save(
    folder: BackupFolder,
    engine: Engine,
    store: ObjectStore,
    data_dir: Path,
    *,
    needs_key: bool = True,
    prune: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Saved:
    """Save while the site may be running; resume where an earlier run was stopped.

    The database is saved first: the objects of its photos exist by then, and never change. A photo that lacks
    an object is removed from the snapshot, so no row is saved without its objects.

    Args:
        needs_key: the settings contain no key that signs log-ins, so the data folder should have it.
        prune: remove objects that nothing references any more, however many there are, and replace a backup
            of another site.
        progress: called with the numbers of finished photos and of all.

    Raises:
        BackupRefused: the folder holds something else, its disk is full, or the site's key would be lost.
        StoreUnavailable: the database or the object store does not answer.
    """
    with folder.locked() as before:
        # Failed runs leave their states, each with a copy of the database: together they would fill the disk.
        folder.remove_states_but(before.state)
        state, result = folder.new_state(utcnow()), Saved()
        database, sums = state / "catloader.sqlite3", state / "SHA256SUMS"
        take(engine, database)
        snapshot = Snapshot(database)
        if not prune and not snapshot.is_of_same_site(folder.path / before.state / database.name):
            shutil.rmtree(state)
            raise BackupRefused(
                f"{folder.path} is the backup of another site: the database {database_name(engine)} has none "
                "of its accounts. Nothing was changed; name another folder, or add --prune to replace it."
            )
        if needs_key and not prune and _lacks_key(data_dir, folder.path / before.state / "data"):
            shutil.rmtree(state)
            raise BackupRefused(
                f"The backup in {folder.path} has the key that signs log-ins, and the data folder {data_dir} "
                "has none. Nothing was changed; set CATLOADER_DATA_DIR as for the site, or add --prune to "
                "lose the key."
            )
        snapshot.empty_ledger()
        _copy_objects(
            folder,
            folder.sums(before),
            snapshot,
            store,
            names=ObjectNames(engine),
            sums=sums,
            result=result,
            progress=progress,
        )
        accounts, photos = snapshot.counts()
        gone, present = _unnamed(folder, snapshot)
        snapshot.close()
        copy_data_files(data_dir, state / "data")
        with sums.open("a", encoding="utf-8") as lines:
            for path in sorted(path for path in state.rglob("*") if path.is_file() and path != sums):
                lines.write(f"{digest_of(path)}  {path.relative_to(folder.path)}\n")
        result.manifest = Manifest(
            state=state.name,
            sums_sha256=digest_of(sums) or "",
            revision=revisions(engine)[1] or "",
            made_at=utcnow().isoformat(timespec="seconds"),
            accounts=accounts,
            photos=photos,
        )
        folder.commit(result.manifest)
        folder.remove_states_but(state.name)
        if prune or not too_many(len(gone), present - len(gone), small=_SMALL):
            for path in gone:
                path.unlink()
            result.removed = len(gone)
        else:
            result.not_removed = len(gone)
    return result


def _lacks_key(data_dir: Path, former: Path) -> bool:
    """Return True if the previous state has the site's key, and the data folder does not.

    A command that was started in another folder would replace the only copy of the key.
    """
    return (former / KEY_FILE).exists() and not (data_dir / KEY_FILE).exists()


def _copy_objects(
    folder: BackupFolder,
    known: Mapping[str, str],
    snapshot: Snapshot,
    store: ObjectStore,
    *,
    names: ObjectNames,
    sums: Path,
    result: Saved,
    progress: Callable[[int, int], None],
) -> None:
    """Copy the objects of all photos; write their digests into ``sums``; leave out photos without objects."""
    total, done = snapshot.counts()[1], 0

    def copy(photo: PhotoObjects) -> list[tuple[StoredObject, str | None, bool]]:
        return [(stored, *_copied(folder, store, stored, digest, known)) for stored, digest in photo.objects]

    with sums.open("w", encoding="utf-8") as lines, ThreadPoolExecutor(_AT_ONCE) as pool:
        for page in snapshot.objects():
            left_out: dict[int, list[str]] = {}
            unexplained = []
            for photo, copies in zip(page, pool.map(copy, page), strict=True):
                missing = {stored.kind for stored, digest, _ in copies if digest is None}
                if missing - {ObjectKind.EXPLANATION}:
                    left_out[photo.photo_id] = [stored.key for stored, _ in photo.objects]
                    continue
                if missing:
                    unexplained.append(photo.photo_id)
                for stored, digest, is_new in copies:
                    if digest is not None:
                        lines.write(f"{digest}  {folder.object_path(stored).relative_to(folder.path)}\n")
                        result.copied += is_new
                        result.kept += not is_new
            for id, keys in left_out.items():
                if names.still_named(id, keys):
                    result.lost.append(id)
                else:
                    result.deleted_meanwhile += 1
            snapshot.leave_out(list(left_out))
            snapshot.forget_explanations(unexplained)
            done += len(page)
            progress(done, total)


def _copied(
    folder: BackupFolder,
    store: ObjectStore,
    stored: StoredObject,
    digest: str | None,
    known: Mapping[str, str],
) -> tuple[str | None, bool]:
    """Return the object's digest (None: unavailable), and True if the object had to be copied."""
    path = folder.object_path(stored)
    digest = digest or known.get(str(path.relative_to(folder.path)))
    if digest is not None and digest_of(path) == digest:
        return digest, False
    for _ in range(2):  # a transfer may have been cut
        try:
            data = store.get(*stored)
        except NotFound:
            break
        except StoreUnavailable as error:
            if refuses_one(store, stored.key, error):
                break
            raise
        actual = hashlib.sha256(data).hexdigest()
        if digest in (None, actual) or stored.kind is ObjectKind.EXPLANATION:
            write_file(path, data)
            return actual, True
    return None, False


def _unnamed(folder: BackupFolder, snapshot: Snapshot) -> tuple[list[Path], int]:
    """Return the files of objects that the snapshot does not name, and the number of all files."""
    unnamed, present = [], 0
    for kind, shard, files in folder.shards():
        keys = snapshot.keys(kind, shard.name)
        present += len(files)
        unnamed += [file for file in files if file.name not in keys]
    return unnamed, present
