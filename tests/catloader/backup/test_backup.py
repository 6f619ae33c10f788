"""``catloader backup`` and ``catloader restore``, on SQLite and PostgreSQL, in every direction."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, delete, select

from catloader.backup.folder import BackupFolder, Manifest, digest_of, write_file
from catloader.backup.save import save
from catloader.errors import BackupRefused, StoreUnavailable
from catloader.server.data_dir import exclusive_data_dir
from catloader.settings import Settings
from catloader.store.db import migrate
from catloader.store.db.engine import make_engine, reading, writing
from catloader.store.db.photos.deletions import Deletions
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import deletions, metadata, photos
from catloader.store.db.snapshot import Snapshot
from catloader.store.db.staff.audit_log import AuditLog
from catloader.store.kinds import ObjectKind, StoredObject
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.catloader.backup.conftest import stored
from tests.support.commands import Run
from tests.support.object_stores import delete_object, store_at, store_of
from tests.support.refusing_store import refusing_store
from tests.support.rows import add_photos, new_photo

_ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
"""For tests of code that reads the backup's SQLite file, which is the same for both databases."""


def _rows(engine: Engine) -> dict[str, list[Any]]:
    """Return everything in the database except the deletion ledger, whose objects are in no backup."""
    with reading(engine) as connection:
        return {
            table.name: sorted(connection.execute(select(table)).all(), key=repr)
            for table in metadata.sorted_tables
            if table is not deletions
        }


def _new_buckets() -> dict[str, str]:
    suffix = secrets.token_hex(4)
    return {
        "CATLOADER_PHOTOS_BUCKET": f"new-photos-{suffix}",
        "CATLOADER_THUMBNAILS_BUCKET": f"new-thumbnails-{suffix}",
    }


def _bytes(store: ObjectStore, buckets: dict[str, str], kind: ObjectKind, key: str) -> bytes:
    which = "THUMBNAILS" if kind is ObjectKind.THUMBNAIL else "PHOTOS"
    answer = store._client.get_object(Bucket=buckets[f"CATLOADER_{which}_BUCKET"], Key=key)
    return bytes(answer["Body"].read())


@pytest.mark.parametrize("into", ["the same kind", "SQLite"])
def test_everything_is_restored_into_either_kind_of_database(
    engine: Engine, objects: ObjectStore, run: Run, *, empty_url: str, tmp_path: Path, into: str
) -> None:
    sites = [stored(engine, objects, explained=n == 0) for n in range(3)]
    Photos(engine).reserve(new_photo(owner_id=1))
    last_id = add_photos(engine, 1)[0]
    with writing(engine) as connection:
        connection.execute(delete(photos).where(photos.c.id == last_id))
    (tmp_path / "data/profiles").mkdir(parents=True)
    saved_files = (
        "secret-key",
        "webhook-secret",
        "outgoing-webhook-secret",
        "model.json",
        "profiles/own.json",
    )
    for name in (*saved_files, "shadow-run.json"):
        (tmp_path / "data" / name).write_text(f"content of {name}")
    (tmp_path / "data/secret-key").chmod(0o600)

    saved = run("backup", tmp_path / "backup")
    assert saved.output.endswith(
        f"3 photos of 4 accounts are in {tmp_path / 'backup'}: 7 objects copied, 0 already there.\n"
    )
    state = next((tmp_path / "backup").glob("state-*"))
    checked = subprocess.run(
        ["sha256sum", "--quiet", "-c", state / "SHA256SUMS"], cwd=tmp_path / "backup", check=False
    )
    assert checked.returncode == 0

    url = empty_url if into == "the same kind" else f"sqlite:///{tmp_path / 'other.sqlite3'}"
    buckets = _new_buckets()
    new = {"DATABASE_URL": url, "CATLOADER_DATA_DIR": str(tmp_path / "new"), **buckets}
    restored = run("restore", tmp_path / "backup", **new)
    assert "Restored 3 photos of 4 accounts (7 objects), as of 20" in restored.output

    target = make_engine(url)
    rows = _rows(engine)
    ((_, _, actor, act, detail),) = rows.pop("audit_log")
    assert (actor, act) == ("command line", "made a backup")
    assert detail == f"3 photos of 4 accounts in {tmp_path / 'backup'}"
    assert _rows(target) == {"audit_log": [], **rows}  # the entry was added after the backup
    assert Deletions(target).count() == 0, "the ledger would delete objects that are in no backup"
    assert add_photos(target, 1)[0] > last_id, "the id of a deleted photo was used again"
    target.dispose()
    for _, keys in sites:
        for kind, key in keys.items():
            assert _bytes(objects, buckets, kind, key) == objects.get(kind, key)
    for name in saved_files:
        assert (tmp_path / "new" / name).read_text() == f"content of {name}"
    assert not (tmp_path / "new/shadow-run.json").exists(), (
        "the state of a run on the other machine was restored"
    )
    assert (tmp_path / "new/secret-key").stat().st_mode & 0o077 == 0

    again = run("restore", tmp_path / "backup", **new)
    assert again.exit_code == 1
    assert "is not empty (" in again.output
    assert again.output.count("\n") == 1


def test_others_read_nothing_of_a_backup_in_an_existing_folder(
    engine: Engine, objects: ObjectStore, run: Run, empty_url: str, tmp_path: Path
) -> None:
    stored(engine, objects)
    backup, new = tmp_path / "backup", tmp_path / "new"
    for folder, mode in ((backup, 0o755), (new, 0o750)):
        folder.mkdir()
        folder.chmod(mode)
    assert run("backup", backup).exit_code == 0
    readable = [path.name for path in backup.iterdir() if path.is_dir() and path.stat().st_mode & 0o077]
    assert readable == []
    settings = {"DATABASE_URL": empty_url, "CATLOADER_DATA_DIR": str(new), **_new_buckets()}
    assert run("restore", backup, **settings).exit_code == 0
    assert new.stat().st_mode & 0o777 == 0o750, "a volume of another user would refuse the change"


def test_second_run_copies_only_new_and_damaged_objects_and_removes_deleted_ones(
    engine: Engine, objects: ObjectStore, run: Run, tmp_path: Path
) -> None:
    folder = BackupFolder(tmp_path / "backup")
    first, _ = stored(engine, objects, explained=True)
    _, altered = stored(engine, objects, explained=True)
    assert "6 objects copied, 0 already there." in run("backup", folder.path).output
    rotten = folder.path / "objects/photo" / altered[ObjectKind.PHOTO][:2] / altered[ObjectKind.PHOTO]
    rotten.write_bytes(b"rotten")
    stored(engine, objects)
    with writing(engine) as connection:
        connection.execute(delete(photos).where(photos.c.id == first))
    output = run("backup", folder.path, CATLOADER_MIN_FREE_BYTES=str(2**60)).output
    assert "3 objects copied, 2 already there." in output
    assert "3 objects removed from the backup: no photo in it has them any more." in output
    assert rotten.read_bytes() == objects.get(ObjectKind.PHOTO, altered[ObjectKind.PHOTO])
    assert len(list(folder.path.glob("state-*"))) == 1
    assert len(list(folder.path.glob("objects/*/*/*"))) == 5


def test_photos_deleted_meanwhile_are_reported_and_have_no_row(
    engine: Engine, objects: ObjectStore, tmp_path: Path
) -> None:
    """The second photo is deleted between the database's snapshot and the copy of its objects.

    Transfers that were cut are repeated meanwhile.
    """
    kept_id, _ = stored(engine, objects)
    deleted_id, keys = stored(engine, objects)
    cut: set[str] = set()

    class OwnerDeletes(ObjectStore):
        def __init__(self) -> None:
            self.__dict__.update(vars(objects))

        def get(self, kind: ObjectKind, key: str) -> bytes:
            with writing(engine) as connection:
                connection.execute(delete(photos).where(photos.c.id == deleted_id))
            delete_object(objects, ObjectKind.THUMBNAIL, keys[ObjectKind.THUMBNAIL])
            content = objects.get(kind, key)
            if key in cut:
                return content
            cut.add(key)
            return content[:-1]

    folder, finished = BackupFolder(tmp_path / "backup"), list[tuple[int, ...]]()
    result = save(
        folder, engine, OwnerDeletes(), tmp_path, progress=lambda *numbers: finished.append(numbers)
    )
    assert finished == [(2, 2)]
    assert (result.deleted_meanwhile, result.lost, result.manifest.photos) == (1, [], 1)
    snapshot = Snapshot(folder.path / result.manifest.state / "catloader.sqlite3")
    assert [photo.photo_id for page in snapshot.objects() for photo in page] == [kept_id]
    assert len(list(folder.path.glob("objects/*/*/*"))) == 2


def test_lost_and_altered_objects_are_an_error_that_names_the_photos(
    engine: Engine, objects: ObjectStore, run: Run, tmp_path: Path
) -> None:
    stored(engine, objects)
    altered_id, altered_keys = stored(engine, objects)
    explained, explanation = stored(engine, objects, explained=True)
    objects.put(ObjectKind.PHOTO, altered_keys[ObjectKind.PHOTO], b"other bytes")
    delete_object(objects, ObjectKind.EXPLANATION, explanation[ObjectKind.EXPLANATION])
    result = run("backup", tmp_path / "backup")
    assert result.exit_code == 1
    assert "2 photos of 3 accounts are in" in result.output
    lost = (
        "1 photo left out: the object store lacks, refuses or has altered them (see `gc` and `check verify`)"
    )
    assert f"{lost}: {altered_id}." in result.output
    (entry,) = AuditLog(engine).page(None, 9)
    assert entry.target.endswith("; 1 photo left out")
    (database,) = tmp_path.glob("backup/state-*/catloader.sqlite3")
    with reading(make_engine(database)) as connection:
        query = select(photos.c.explanation_key).where(photos.c.id == explained)
        assert connection.execute(query).scalar_one() is None


@_ON_SQLITE
def test_a_refused_object_leaves_out_its_photo_and_a_refusing_store_ends_the_run(
    engine: Engine, s3_server: EmbeddedS3, tmp_path: Path
) -> None:
    with refusing_store(s3_server) as (store, refused):
        _, keys = stored(engine, store)
        bad_id, bad_keys = stored(engine, store)
        refused.add(bad_keys[ObjectKind.PHOTO])
        assert save(BackupFolder(tmp_path / "one"), engine, store, tmp_path).lost == [bad_id]
        refused.update([*bad_keys.values(), *keys.values()])
        for folder in (BackupFolder(tmp_path / name) for name in ("one", "all", "one", "all")):
            previous = folder.manifest().state if folder.path.exists() else ""
            for path in folder.path.glob("objects/*/*/*"):  # the next run must copy them again
                path.unlink()
            with pytest.raises(StoreUnavailable, match="AccessDenied"):
                save(folder, engine, store, tmp_path)
            states = {path.name for path in folder.path.glob("state-*")}
            assert len(states - {previous}) == 1, "each failed run leaves a copy of the database"
            assert not previous or previous in states


@_ON_SQLITE
def test_damaged_files_of_a_backup_are_never_restored(
    objects: ObjectStore,
    s3_server: EmbeddedS3,
    engine: Engine,
    run: Run,
    *,
    empty_url: str,
    tmp_path: Path,
) -> None:
    """Damaged objects that an earlier, interrupted restore left in the store are replaced."""
    whole, whole_keys = stored(engine, objects, explained=True)
    damaged, keys = stored(engine, objects)
    backup, buckets = tmp_path / "backup", _new_buckets()
    run("backup", backup)
    altered, missing = keys[ObjectKind.THUMBNAIL], whole_keys[ObjectKind.EXPLANATION]
    (backup / "objects/thumbnail" / altered[:2] / altered).write_bytes(b"x")
    (backup / "objects/explanation" / missing[:2] / missing).unlink()
    photos_bucket, thumbnails_bucket = buckets.values()
    store = store_of(s3_server, (photos_bucket, thumbnails_bucket))
    store.put(ObjectKind.PHOTO, whole_keys[ObjectKind.PHOTO], b"other bytes")
    new = {"DATABASE_URL": empty_url, "CATLOADER_DATA_DIR": str(tmp_path / "new"), **buckets}
    result = run("restore", backup, **new)
    assert result.exit_code == 1
    assert "Restored 1 photo of 2 accounts (2 objects)" in result.output
    assert f"their files in the backup are missing or damaged: {damaged}." in result.output
    target = make_engine(empty_url)
    with reading(target) as connection:
        query = select(photos.c.id, photos.c.explanation_key)
        assert connection.execute(query).all() == [(whole, None)]
    target.dispose()
    for kind in (ObjectKind.PHOTO, ObjectKind.THUMBNAIL):
        assert store.get(kind, whole_keys[kind]) == objects.get(kind, whole_keys[kind])
        assert not store.exists(kind, keys[kind])


@_ON_SQLITE
def test_altered_database_secret_or_list_is_refused(
    engine: Engine, objects: ObjectStore, run: Run, empty_url: str, tmp_path: Path
) -> None:
    stored(engine, objects)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/secret-key").write_text("the key")
    run("backup", tmp_path / "backup")
    new = {"DATABASE_URL": empty_url, "CATLOADER_DATA_DIR": str(tmp_path / "new")}
    for file in ("catloader.sqlite3", "SHA256SUMS", "data/secret-key"):
        (altered,) = tmp_path.glob(f"backup/state-*/{file}")
        whole = altered.read_bytes()
        altered.write_bytes(whole + b" ")
        result = run("restore", tmp_path / "backup", **new)
        assert result.exit_code == 1
        assert f"Error: {altered} is missing or damaged" in result.output
        altered.write_bytes(whole)


@_ON_SQLITE
def test_folders_without_a_backup_are_refused_in_one_sentence(
    run: Run, engine: Engine, tmp_path: Path
) -> None:
    other, file, missing = tmp_path / "other", tmp_path / "file", tmp_path / "missing"
    other.mkdir()
    (other / "letter.txt").write_text("private")
    file.write_text("x")
    assert run("backup", other).output == (
        f"Error: {other} is neither a backup nor empty: name a new folder, or one that "
        "`catloader backup` made.\n"
    )
    for no_folder in (file, file / "below", Path("/dev/null")):
        assert run("backup", no_folder).output == (
            f"Error: {no_folder} is a file, or is below a file: name a folder.\n"
        )
    inside = tmp_path / "data/backup"
    assert run("backup", inside).output.startswith(f"Error: {inside} is in the data folder and would be lost")
    assert not inside.exists()
    new = {"CATLOADER_DATA_DIR": str(tmp_path / "new")}
    for no_backup in (other, file, missing):
        assert (
            run("restore", no_backup, **new).output
            == f"Error: {no_backup} is not a backup: it has no backup.json.\n"
        )
    assert not missing.exists() and not (tmp_path / "new").exists()
    unfinished = BackupFolder(tmp_path / "unfinished")
    with unfinished.locked():
        assert run("restore", unfinished.path, **new).output.endswith(
            f"Error: Another run is using {unfinished.path}.\n"
        )
    assert run("restore", unfinished.path, **new).output == (
        f"Error: The backup in {unfinished.path} never finished: run `catloader backup` again.\n"
    )
    with exclusive_data_dir(Settings(data_dir=tmp_path / "new")):
        assert "Error: Another CatLoader runs on" in run("restore", unfinished.path, **new).output
    newer = tmp_path / "newer"
    run("backup", newer)
    mark = newer / "backup.json"
    content = json.loads(mark.read_text())
    mark.write_text(json.dumps({**content, "revision": "9999"}))
    assert "made by a newer version of CatLoader (tables 9999)" in run("restore", newer).output
    mark.write_text(json.dumps({**content, "format": 2, "more": 1}))
    assert (
        run("backup", newer).output
        == f"Error: {newer} was made by a newer version of CatLoader: use that version.\n"
    )
    for damaged in ("{", 100_000 * "["):
        mark.write_text(damaged)
        assert run("restore", newer).output == f"Error: {mark} is damaged.\n"


def test_run_killed_while_it_marked_the_folder_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "backup.json.part").write_text("{")
    with BackupFolder(tmp_path).locked() as manifest:
        assert manifest == Manifest()
    assert not (tmp_path / "backup.json.part").exists()


def test_a_second_run_is_refused_and_readers_may_share_the_folder(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backup")
    refused = pytest.raises(BackupRefused, match=f"^Another run is using {folder.path}\\.$")
    with folder.locked():
        for other in (folder.locked, folder.unchanging):
            with refused, other():
                pass
    with folder.unchanging(), folder.unchanging(), refused, folder.locked():
        pass
    assert folder.path.stat().st_mode & 0o077 == 0
    (folder.path / "lock").unlink()
    with folder.unchanging():
        assert not (folder.path / "lock").exists(), "reading must not write: the medium may be read-only"
    (folder.path / "lock").mkdir()
    with folder.unchanging():  # a lock file that can't be opened does not prevent reading
        pass


def test_the_last_state_is_read_after_the_run_that_made_it(tmp_path: Path) -> None:
    """If the state were read before the lock was acquired, the other run could have removed it meanwhile."""
    folder = BackupFolder(tmp_path)
    with folder.locked():
        pass
    mark = tmp_path / "backup.json"
    content = mark.read_bytes()
    mark.unlink()
    os.mkfifo(mark)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(folder.locked().__enter__)
        with mark.open("wb") as writer:  # blocks until the other thread reads the file
            with pytest.raises(BackupRefused, match="Another run"), folder.unchanging():
                pass
            writer.write(content)
        assert reading.result() == Manifest()


def test_keys_of_another_form_are_refused_and_failed_writes_leave_no_draft(tmp_path: Path) -> None:
    """A damaged or forged database could contain the path of any file of the machine as a key."""
    for key in ("../../secret", "a/b", ".hidden", "", "a\n"):
        with pytest.raises(BackupRefused, match="is not a key of this site"):
            BackupFolder(tmp_path).object_path(StoredObject(ObjectKind.PHOTO, key))
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@_ON_SQLITE
def test_most_of_a_backup_is_not_removed_by_accident(
    engine: Engine, objects: ObjectStore, run: Run, tmp_path: Path
) -> None:
    """It would be, if the command ran with another site's settings."""
    stored(engine, objects)
    backup = tmp_path / "backup"
    run("backup", backup)
    shard = backup / "objects/photo/ab"
    shard.mkdir(exist_ok=True)
    for n in range(101):
        (shard / f"ab{n:030}.jpg").write_bytes(b"of another site")
    output = run("backup", backup).output
    assert "101 objects in" in output
    assert "so they were not removed; --prune removes them." in output.replace("\n", " ")
    assert len(list(shard.iterdir())) >= 101
    assert "101 objects removed from the backup" in run("backup", backup, "--prune").output


@_ON_SQLITE
def test_less_than_half_of_a_backup_is_removed_without_a_question(engine: Engine, tmp_path: Path) -> None:
    class OneContent(ObjectStore):
        def get(self, kind: ObjectKind, key: str) -> bytes:
            return b"x"

    digest = hashlib.sha256(b"x").hexdigest()
    ids = add_photos(engine, 120, sha256=digest, thumbnail_sha256=digest)
    folder, store = BackupFolder(tmp_path / "backup"), store_at("http://127.0.0.1:1", kind=OneContent)
    assert save(folder, engine, store, tmp_path).copied == 240
    for gone, removed, not_removed in ((ids[:51], 102, 0), (ids[51:111], 0, 120)):
        with writing(engine) as connection:
            connection.execute(delete(photos).where(photos.c.id.in_(gone)))
        result = save(folder, engine, store, tmp_path)
        assert (result.removed, result.not_removed) == (removed, not_removed)


@_ON_SQLITE
def test_a_small_backup_keeps_its_objects_if_the_database_names_none(
    engine: Engine, objects: ObjectStore, run: Run, tmp_path: Path
) -> None:
    """A few deleted photos leave the backup, however small the site is; not so with the wrong database."""
    ids = [stored(engine, objects)[0] for _ in range(3)]
    run("backup", tmp_path / "backup")
    for gone, text in ((ids[:2], "objects removed from the backup"), (ids[2:], "were not removed; --prune")):
        with writing(engine) as connection:
            connection.execute(delete(photos).where(photos.c.id.in_(gone)))
        assert text in run("backup", tmp_path / "backup").output.replace("\n", " ")


@_ON_SQLITE
def test_only_twenty_of_many_lost_photos_are_named(engine: Engine, run: Run, tmp_path: Path) -> None:
    ids = add_photos(engine, 21)
    result = run("backup", tmp_path / "backup")
    assert result.exit_code == 1
    assert "Error: 21 photos left out: " in result.output
    assert result.output.endswith(f": {', '.join(map(str, ids[:20]))}, ....\n")


@_ON_SQLITE
def test_the_backup_of_another_site_is_not_replaced_by_accident(
    engine: Engine, objects: ObjectStore, run: Run, empty_url: str, tmp_path: Path
) -> None:
    """It would be, if the command was started in another folder or without the settings."""
    stored(engine, objects)
    backup, other = tmp_path / "backup", {"DATABASE_URL": empty_url}
    run("backup", backup)
    before = {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()}
    run("db", "migrate", **other)
    refused = run("backup", backup, **other)
    assert refused.exit_code == 1
    assert f"Error: {backup} is the backup of another site: the database " in refused.output
    assert refused.output.count("\n") == 1
    assert {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()} == before
    assert [path.name for path in backup.glob("state-*")] == [BackupFolder(backup).manifest().state]
    assert "0 photos of 0 accounts are in" in run("backup", backup, "--prune", **other).output


def test_full_disk_leaves_the_last_backup_intact(
    engine: Engine, objects: ObjectStore, run: Run, *, small_disk: Path, empty_url: str, tmp_path: Path
) -> None:
    if engine.dialect.name == "sqlite":  # other tests may have made the file larger than the disk
        assert engine.url.database
        with closing(sqlite3.connect(engine.url.database)) as connection:
            connection.execute("VACUUM")
    backup = small_disk / "backup"
    stored(engine, objects)
    assert run("backup", backup).exit_code == 0
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 40_000))
    before = (backup / "backup.json").read_bytes()
    for _ in range(10):
        stored(engine, objects)
    full = run("backup", backup)
    assert full.exit_code == 1
    assert full.output.count("\n") == 1, full.output
    assert "full" in full.output
    assert (backup / "backup.json").read_bytes() == before
    new = {"DATABASE_URL": empty_url, "CATLOADER_DATA_DIR": str(tmp_path / "new"), **_new_buckets()}
    assert "Restored 1 photo of 1 account" in run("restore", backup, **new).output
    ballast.unlink()
    assert "11 photos of 11 accounts" in run("backup", backup).output


def test_backup_of_an_older_version_is_migrated(
    engine: Engine, objects: ObjectStore, run: Run, empty_url: str, tmp_path: Path
) -> None:
    stored(engine, objects)
    folder = BackupFolder(tmp_path / "backup")
    run("backup", folder.path)
    (database,) = tmp_path.glob("backup/state-*/catloader.sqlite3")
    sums, digest = database.with_name("SHA256SUMS"), digest_of(database)
    old, config = make_engine(database), Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with writing(old) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0008")
    old.dispose()
    sums.write_text(sums.read_text().replace(str(digest), str(digest_of(database))))
    manifest = replace(folder.manifest(), revision="0008", sums_sha256=str(digest_of(sums)))
    folder.commit(manifest)
    new = {"DATABASE_URL": empty_url, "CATLOADER_DATA_DIR": str(tmp_path / "new"), **_new_buckets()}
    assert "Restored 1 photo of 1 account" in run("restore", folder.path, **new).output
