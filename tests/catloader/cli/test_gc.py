"""``catloader gc``: compare S3 and the database in both directions, during uploads and deletions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from catloader.deletion import DeletionWorker
from catloader.errors import CatLoaderError
from catloader.explanations.object_key import key_for
from catloader.orphans import Comparison, compare, remove
from catloader.store.db.engine import writing
from catloader.store.db.object_names import ObjectNames
from catloader.store.db.photos.deletions import Deletions, mark_due
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind, StoredObject
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.commands import Run
from tests.support.databases import ON_SQLITE
from tests.support.object_stores import delete_object, store_of
from tests.support.rows import add_photos, new_photo, some_user
from tests.support.site import jpeg


def _key() -> str:
    return f"{secrets.token_hex(16)}.jpg"


def _stored(engine: Engine, objects: ObjectStore) -> tuple[int, dict[ObjectKind, str]]:
    """Add a photo with photo, thumbnail and explanation objects; return its id and keys."""
    keys = {kind: _key() for kind in ObjectKind}
    (id,) = add_photos(
        engine, 1, photo_key=keys[ObjectKind.PHOTO], thumbnail_key=keys[ObjectKind.THUMBNAIL], status="cat"
    )
    with writing(engine) as connection:
        explanation = {"explanation_key": keys[ObjectKind.EXPLANATION]}
        connection.execute(update(photos).where(photos.c.id == id).values(explanation))
    for kind, key in keys.items():
        objects.put(kind, key, b"x")
    return id, keys


def test_gc_finds_and_deletes_orphans_and_reports_missing_objects(
    engine: Engine, objects: ObjectStore, run: Run
) -> None:
    whole, kept_keys = _stored(engine, objects)
    broken, lost = _stored(engine, objects)
    delete_object(objects, ObjectKind.THUMBNAIL, lost[ObjectKind.THUMBNAIL])
    orphans = {kind: _key() for kind in (ObjectKind.PHOTO, ObjectKind.THUMBNAIL)}
    uploading = replace(new_photo(some_user(engine).id), photo_key=_key(), thumbnail_key=_key())
    Photos(engine).reserve(uploading)
    for kind, key in (
        *orphans.items(),
        (ObjectKind.PHOTO, uploading.photo_key),
        (ObjectKind.PHOTO, "readme.txt"),
    ):
        objects.put(kind, key, b"x")

    young = run("gc")
    assert "0 unreferenced objects." in young.output
    both = run("gc", "--report", "--apply", "--older-than", "0")
    assert (both.exit_code, both.stderr.splitlines()[-1]) == (
        2, "Error: --report and --apply can't be used together."
    )  # fmt: skip
    report = run("gc", "--report", "--older-than", "0")
    assert report.exit_code == 1
    assert "9 objects in the object store; 1 not of this site, left alone." in report.output
    assert "2 unreferenced objects." in report.output
    assert f"1 object missing.\n  photo {broken}: its thumbnail" in report.output
    assert all(objects.exists(kind, key) for kind, key in orphans.items())

    applied = run("gc", "--apply", "--older-than", "0")
    assert (
        "2 objects added to the deletion ledger, which has 2 left." in applied.output
    )  # the two that are left belong to the upload in progress
    assert not any(objects.exists(kind, key) for kind, key in orphans.items())
    assert all(objects.exists(kind, key) for kind, key in kept_keys.items())
    assert objects.exists(ObjectKind.PHOTO, uploading.photo_key)
    assert objects.exists(ObjectKind.PHOTO, "readme.txt")
    assert Photos(engine).by_id(whole)
    assert "0 unreferenced objects." in run("gc", "--older-than", "0").output


@pytest.fixture(scope="session")
def many_objects(s3_server: EmbeddedS3) -> ObjectStore:
    """A store with more photos than one page of a listing holds. No test deletes them."""
    store = store_of(s3_server, ("photos-many", "thumbnails-many"), max_connections=8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(ObjectKind.PHOTO, key, b"x"), [_key() for _ in range(1005)]))
    return store


@ON_SQLITE  # 2 s; the next test executes the statements with a thousand keys on PostgreSQL too
def test_more_than_a_page_of_objects_is_compared(engine: Engine, many_objects: ObjectStore) -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    result = compare(ObjectNames(engine), many_objects, now, timedelta(0))
    assert (result.objects, len(result.orphans), result.missing) == (1005, 1005, [])


def test_more_orphans_than_one_statement_enters_are_removed(engine: Engine) -> None:
    orphans = [StoredObject(ObjectKind.PHOTO, _key()) for _ in range(1005)]
    names, result = ObjectNames(engine), Comparison(1005, 1005, orphans=orphans)
    assert names.of_photos([orphan.key for orphan in orphans]) == set()
    with pytest.raises(CatLoaderError, match="1005 of 1005 objects are unknown to this database"):
        remove(names, result)
    assert remove(names, result, force=True) == 1005
    assert Deletions(engine).count() == 1005


def test_explanations_are_looked_up_only_for_objects_that_are_neither_photo_nor_thumbnail(
    engine: Engine, objects: ObjectStore
) -> None:
    """With a million photos the look-up takes half a second for each thousand objects."""
    statements: list[str] = []

    def note(*facts: Any) -> None:
        statements.append(facts[2])

    def looked_for_explanations() -> bool:
        statements.clear()
        result = compare(ObjectNames(engine), objects, datetime.now(UTC) + timedelta(minutes=1), timedelta())
        assert (result.orphans, result.missing) == ([], [])
        return any("explanation_key IN" in statement for statement in statements)

    event.listen(engine, "before_cursor_execute", note)
    (id,) = add_photos(engine, 1, photo_key=_key(), thumbnail_key=_key(), status="cat")
    photo = Photos(engine).by_id(id)
    assert photo
    objects.put(ObjectKind.PHOTO, photo.photo_key, b"x")
    objects.put(ObjectKind.THUMBNAIL, photo.thumbnail_key, b"x")
    assert not looked_for_explanations()
    _stored(engine, objects)
    assert looked_for_explanations()
    event.remove(engine, "before_cursor_execute", note)


def test_objects_of_a_single_bucket_are_counted_once(engine: Engine, s3_server: EmbeddedS3) -> None:
    objects = store_of(s3_server, (f"both-{secrets.token_hex(4)}",) * 2)
    _stored(engine, objects)
    broken, lost = _stored(engine, objects)
    delete_object(objects, ObjectKind.THUMBNAIL, lost[ObjectKind.THUMBNAIL])
    orphan = _key()
    objects.put(ObjectKind.THUMBNAIL, orphan, b"x")
    comparison = compare(ObjectNames(engine), objects, datetime.now(UTC), timedelta(0))
    assert (comparison.objects, comparison.foreign) == (6, 0)
    assert [key for _, key in comparison.orphans] == [orphan]
    assert comparison.missing == [(broken, ObjectKind.THUMBNAIL)]


def test_explanations_without_a_photo_are_orphans(engine: Engine, objects: ObjectStore) -> None:
    keys = {key_for(b"x"), _key()}  # a key of this version, and one of older versions
    for key in keys:
        objects.put(ObjectKind.EXPLANATION, key, b"x")
    result = compare(ObjectNames(engine), objects, datetime.now(UTC) + timedelta(minutes=1), timedelta())
    assert {orphan.key for orphan in result.orphans} == keys
    assert result.foreign == 0


def test_object_that_is_deleted_during_the_comparison_is_not_an_orphan(
    engine: Engine, objects: ObjectStore
) -> None:
    class Later(ObjectNames):
        """Runs the deletion worker between the listing and the look-up of names."""

        def unknown(self, keys: Sequence[str]) -> set[str]:
            DeletionWorker(Deletions(engine), objects, sweep_s=1).work_off()
            return super().unknown(keys)

    deleted, orphan = _key(), _key()
    with writing(engine) as connection:
        mark_due(connection, [StoredObject(ObjectKind.PHOTO, deleted)])
    for key in (deleted, orphan):
        objects.put(ObjectKind.PHOTO, key, b"x")
    result = compare(Later(engine), objects, datetime.now(UTC) + timedelta(minutes=1), timedelta())
    assert (result.objects, result.orphans) == (2, [StoredObject(ObjectKind.PHOTO, orphan)])


def test_object_that_gets_a_row_after_the_comparison_is_kept(engine: Engine, objects: ObjectStore) -> None:
    """Restoring a backup adds such rows."""
    objects.ensure_buckets()
    orphan, referenced = _key(), _key()
    orphans = [StoredObject(ObjectKind.PHOTO, key) for key in (orphan, referenced)]
    result = Comparison(4, 4, orphans=orphans)
    add_photos(engine, 1, photo_key=referenced, owner_id=some_user(engine).id)
    assert remove(ObjectNames(engine), result) == 1


@ON_SQLITE
def test_a_disk_that_is_too_full_for_uploads_prevents_no_command_but_import(
    engine: Engine, run: Run, tmp_path: Path
) -> None:
    """Some free space, such as ``gc``, and some can't wait, such as the end of a leaked token."""
    email = some_user(engine).email
    full = {"CATLOADER_MIN_FREE_BYTES": str(2**60)}
    for words in (
        ("gc", "--apply"),
        ("export", tmp_path / "export"),
        ("tokens", "list", email),
        ("user", "ls"),
        ("check", "list"),
    ):
        result = run(*words, **full)
        assert result.exit_code == 0, result.output
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg())
    refused = run("import", tmp_path / "photos", "--owner", email, **full)
    assert refused.exit_code == 1
    assert "Error: The disk of this site is nearly full" in refused.output


def test_a_wrong_database_deletes_no_small_site(engine: Engine, objects: ObjectStore, run: Run) -> None:
    """Two sites may share their buckets, and a database may be an old copy."""
    keys = [_key() for _ in range(3)]
    for key in keys:
        objects.put(ObjectKind.PHOTO, key, b"x")
    objects.put(ObjectKind.PHOTO, "readme.txt", b"x")
    (own,) = add_photos(engine, 1, photo_key=_key(), thumbnail_key=_key())
    photo = Photos(engine).by_id(own)
    assert photo
    for number_of_own in (0, 1):
        refused = run("gc", "--apply", "--older-than", "0")
        assert refused.exit_code == 1
        assert f"Error: 3 of {3 + number_of_own} objects are unknown to this database. Nothing was" in (
            refused.output
        )
        assert all(objects.exists(ObjectKind.PHOTO, key) for key in keys)
        objects.put(ObjectKind.PHOTO, photo.photo_key, b"x")
    run("gc", "--apply", "--older-than", "0", "--force")
    assert not any(objects.exists(ObjectKind.PHOTO, key) for key in keys)
    assert objects.exists(ObjectKind.PHOTO, photo.photo_key)
