"""``catloader import`` and ``catloader export``."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import Engine, delete, insert, select, update

from catloader.settings import Settings
from catloader.store.db.accounts.users import User, Users
from catloader.store.db.engine import database_name, reading, utcnow, writing
from catloader.store.db.photos.bin import Bin
from catloader.store.db.photos.exports import ExportedPhoto, Exports
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.transfer.exporting import ExportRefused, export
from catloader.transfer.importing import Importer, Result
from catloader.transfer.journal import Journal
from catloader.transfer.sources import FolderSource, SourceError
from tests.support.commands import Run
from tests.support.object_stores import delete_object
from tests.support.refusing_store import LARGE, refusing_store
from tests.support.rows import add_photos
from tests.support.site import jpeg

_EMAIL = "anna@example.org"
_ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)


@pytest.fixture
def anna(engine: Engine) -> User:
    return Users(engine).create(_EMAIL, "hash", utcnow())


def _with_metadata(colour: tuple[int, int, int]) -> bytes:
    """Return a file with the same pixels as ``jpeg(colour)`` but other bytes, because of a comment."""
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg(colour))).save(file, "JPEG", quality="keep", comment=b"from my phone")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, a copy of each, a broken one, a text file, and hidden files."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    (folder / "red.jpg").write_bytes(jpeg((200, 0, 0)))
    (folder / "below/blue.JPG").write_bytes(jpeg((0, 0, 200)))
    (folder / "below/red again.jpeg").write_bytes(jpeg((200, 0, 0)))
    (folder / "blue of my phone.jpg").write_bytes(_with_metadata((0, 0, 200)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.jpg").write_bytes(jpeg())
    return folder


def _stored(engine: Engine, owner: User) -> int:
    return len(Exports(engine).digests(owner.id))


def test_import_stores_each_photo_once_and_reports_why_others_were_left_out(
    engine: Engine, objects: ObjectStore, run: Run, *, anna: User, folder: Path, tmp_path: Path
) -> None:
    dry = run("import", folder, "--owner", _EMAIL, "--dry-run")
    assert dry.exit_code == 1
    assert "2  would be imported\n" in dry.output
    assert "2  the owner has it already\n" in dry.output
    assert _stored(engine, anna) == 0
    assert not (tmp_path / "data/imports").exists(), (
        "the dry run left a journal, with which a later import would resume"
    )
    result = run("import", folder, "--owner", "Anna@Example.org")
    for line in ("2  imported", "2  the owner has it already", "2  not named like a photo", "1  refused"):
        assert f"{line}\n" in result.output, result.output
    assert f"  {folder}/broken.png: " in result.output
    assert result.exit_code == 1
    with reading(engine) as connection:
        rows = connection.execute(select(photos.c.owner_id, photos.c.status, photos.c.photo_key)).all()
    assert [(row.owner_id, row.status) for row in rows] == [(anna.id, "pending")] * 2
    assert all(objects.exists(ObjectKind.PHOTO, row.photo_key) for row in rows)
    (folder / "broken.png").unlink()
    again = run("import", folder, "--owner", _EMAIL)
    assert again.exit_code == 0
    assert "4  the owner has it already\n" in again.output
    assert _stored(engine, anna) == 2


def test_photos_in_the_bin_are_not_exported_and_are_imported_again(
    engine: Engine, run: Run, anna: User, folder: Path, tmp_path: Path
) -> None:
    run("import", folder, "--owner", _EMAIL)
    with reading(engine) as connection:
        deleted_id, kept_id = connection.execute(select(photos.c.id).order_by(photos.c.id)).scalars()
    assert Bin(engine, days=30).put([deleted_id], anna.id) == 1
    exported = run("export", tmp_path / "exported", "--owner", _EMAIL)
    assert "1 photo in " in exported.output
    assert [path.name for path in (tmp_path / "exported/photos").iterdir()] == [f"{kept_id}.jpg"]
    again = run("import", folder, "--owner", _EMAIL)
    assert "1  imported\n" in again.output
    assert _stored(engine, anna) == 2


def test_files_that_can_not_be_read_do_not_end_an_import(
    engine: Engine, run: Run, anna: User, folder: Path
) -> None:
    (folder / "dangling.jpg").symlink_to("nothing.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "empty.jpg").touch()
    (folder / "below/up").symlink_to("..")
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg((0, 200, 0)))
    result = run("import", folder, "--owner", _EMAIL)
    assert result.exit_code == 1
    assert "3  imported\n" in result.output, result.output
    assert "5  refused\n" in result.output, result.output
    assert f"  {folder}/dangling.jpg: It can't be read: No such file or directory.\n" in result.output
    assert f"  {folder}/loop.jpg: It can't be read: Too many levels of symbolic links.\n" in result.output
    assert _stored(engine, anna) == 3


def test_a_folder_that_can_not_be_read_is_refused_in_one_sentence(folder: Path) -> None:
    (folder / ".first").touch()
    files = FolderSource(folder).files(lambda _: shutil.rmtree(folder / "below", ignore_errors=True))
    (refused,) = (file for file in files if file.name == str(folder / "below"))
    with pytest.raises(SourceError, match=r"^The folder can't be read: No such file or directory\.$"):
        refused.read()


def test_a_resumed_import_tries_refused_files_again(
    engine: Engine, objects: ObjectStore, anna: User, tmp_path: Path
) -> None:
    """The reason, such as a missing permission, may be gone although the file is unchanged."""
    unused: Any = None
    importer = Importer(
        Settings(data_dir=tmp_path),
        anna.id,
        prepare=unused,
        photos=Photos(engine),
        objects=objects,
        dispatcher=unused,
        known=set(),
    )
    source = FolderSource(tmp_path / "pipes")
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes/a.jpg")
    journal = Journal(tmp_path / "imports", "pipes", anna.id, resume=False)
    assert [outcome.result for outcome in importer.run(source, journal, at_once=1)] == [Result.REFUSED]
    journal.close()
    again = Journal(tmp_path / "imports", "pipes", anna.id, resume=True)
    assert not any(map(again.has, source.files(lambda _: None)))
    again.close()


def test_interrupted_import_resumes_without_reading_finished_files(
    engine: Engine, run: Run, anna: User, folder: Path, tmp_path: Path
) -> None:
    """The journal is that of a run that was killed while it wrote the line of its third file."""
    done = Journal(tmp_path / "data/imports", str(folder), anna.id, resume=False)
    files = list(FolderSource(folder).files(lambda _: None))
    for file in files[:2]:
        done.add(file)
    done.close()
    (path,) = (tmp_path / "data/imports").iterdir()
    with path.open("a") as journal:
        journal.write('"12')
    Path(files[1].name).write_bytes(jpeg((1, 2, 3)))  # changed since
    result = run("import", folder, "--owner", _EMAIL, "--resume")
    assert "1  done by an earlier run\n" in result.output, result.output
    assert _stored(engine, anna) == 3
    assert list((tmp_path / "data/imports").iterdir()) == []


@_ON_SQLITE
def test_a_full_account_ends_an_import_which_can_be_resumed(
    engine: Engine, run: Run, anna: User, folder: Path
) -> None:
    """Otherwise each of 100 000 further files is decoded, stored and deleted again."""
    full = run("import", folder, "--owner", _EMAIL, CATLOADER_QUOTA_PHOTOS="1")
    sentence = "Error: You have 1 of 1 photo. Delete it and empty the bin.\n"
    assert (full.exit_code, full.output) == (1, sentence)
    assert _stored(engine, anna) == 1
    assert "1  imported\n" in run("import", folder, "--owner", _EMAIL, "--resume").output
    assert _stored(engine, anna) == 2


def test_import_reads_from_the_object_store(
    engine: Engine, objects: ObjectStore, run: Run, *, anna: User, s3_server: EmbeddedS3
) -> None:
    for key in ("2019/a.jpg", "2019/b/c.png", "2019/notes.txt", "2020/d.jpg"):
        objects.put(ObjectKind.PHOTO, key, jpeg((len(key), 0, 0)))
    objects.put(ObjectKind.PHOTO, "2019/large.jpg", jpeg() + bytes(400_000))
    objects.put(ObjectKind.PHOTO, "2019/two\nlines.jpg", jpeg((9, 9, 9)))
    objects.put(ObjectKind.PHOTO, "2019/no\r\nphoto.jpg", b"")
    for key in ("2019/archived.jpg", f"2019/{LARGE}"):
        objects.put(ObjectKind.PHOTO, key, jpeg())
    source = f"s3://{objects.photos_bucket}/2019/"
    with refusing_store(s3_server) as (store, refused):
        refused.add("archived.jpg")
        others = {"CATLOADER_MAX_FILE_BYTES": "100000", "AWS_ENDPOINT_URL_S3": store.address}
        result = run("import", source, "--owner", _EMAIL, **others)
    for line in ("3  imported", "1  not named like a photo", "4  refused"):
        assert f"{line}\n" in result.output, result.output
    assert f"2019/{LARGE}: The object store at {store.address} sends too many bytes" in result.output
    assert f"2019/archived.jpg: The object store at {store.address} refused" in result.output
    assert "2019/large.jpg: " in result.output
    assert "2019/no\\r\\nphoto.jpg: " in result.output
    assert _stored(engine, anna) == 3


def test_import_refuses_in_one_sentence(
    engine: Engine, run: Run, anna: User, objects: ObjectStore, tmp_path: Path
) -> None:
    at, empty = objects.address, tmp_path / "empty"
    nobody = f"There is no account nobody@example.org in the database {database_name(engine)}."
    empty.mkdir()
    (file := tmp_path / "a.jpg").touch()
    for source, owner, sentence in (
        (tmp_path, "nobody@example.org", nobody),
        (tmp_path / "missing", _EMAIL, f"There is no folder {tmp_path}/missing."),
        (file, _EMAIL, f"{file} is a file; name the folder that contains it."),
        (
            "s3://no-such-bucket/x",
            _EMAIL,
            f"The object store at {at} refused bucket no-such-bucket (NoSuchBucket).",
        ),
        ("s3://b/x", _EMAIL, "'b' is not a valid bucket name."),
    ):
        result = run("import", source, "--owner", owner)
        assert (result.exit_code, result.output) == (1, f"Error: {sentence}\n")
    assert "There are no files." in run("import", empty, "--owner", _EMAIL).output


def test_export_writes_photos_and_verdicts_to_both_tables(
    engine: Engine, objects: ObjectStore, run: Run, *, anna: User, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.png").unlink()
    Users(engine).create("+ben@example.org", "hash", utcnow())
    run("import", folder, "--owner", _EMAIL)
    run("import", folder, "--owner", "+ben@example.org")
    with writing(engine) as connection:
        values = {"status": "cat", "score": 0.75, "human_verdict": "cat", "caption": "=1+1, Zoë"}
        connection.execute(update(photos).where(photos.c.owner_id == anna.id).values(values))
        of_anna = select(photos.c.id, photos.c.sha256).where(photos.c.owner_id == anna.id)
        decision = {"verdict": "unsure", "reason": "low_detail", "cat_at": 0.9, "not_cat_below": 0.02}
        decision |= {"turned_deg": 90}
        variant = {"model": "resnet50_v1", "runtime": "openvino", "precision": "int8"}
        row = {"attempt": 1, "finished_at": utcnow(), **decision, **variant}
        for photo_id, sha256 in connection.execute(of_anna).all():
            connection.execute(insert(check_log).values(photo_id=photo_id, photo_sha256=sha256, **row))
    target = tmp_path / "export"
    output = run("export", target, "--owner", _EMAIL).output
    assert output == f"2 photos in {target}, 0 of them there before.\n"
    lines = [json.loads(line) for line in (target / "photos.jsonl").read_text("utf-8").splitlines()]
    assert [(line["owner"], line["status"], line["score"], line["caption"]) for line in lines] == [
        (_EMAIL, "cat", 0.75, "=1+1, Zoë")
    ] * 2
    with (target / "photos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["caption"] for row in rows] == ["'=1+1, Zoë"] * 2
    assert {name: lines[0][name] for name in (*decision, *variant) if name != "verdict"} == {
        "reason": "low_detail",
        "cat_at": 0.9,
        "not_cat_below": 0.02,
        "turned_deg": 90,
        **variant,
    }
    assert rows[0].keys() == lines[0].keys()
    assert list(rows[0])[-2:] == ["sha256", "turned_deg"], "the columns of earlier versions keep their places"
    for line in lines:
        with Image.open(target / line["file"]) as photo:
            assert photo.size == (line["width_px"], line["height_px"])
    (target / lines[0]["file"]).write_bytes(b"cut")
    (target / "photos" / ".999.jpg.part").write_bytes(b"of a run that was killed")
    assert "4 photos in" in (whole := run("export", target)).output
    assert ", 1 of them there before." in whole.output
    with (target / "photos.csv").open(encoding="utf-8", newline="") as file:
        assert {row["owner"] for row in csv.DictReader(file)} == {_EMAIL, "'+ben@example.org"}
    assert not list(target.rglob("*.part"))


@_ON_SQLITE
def test_two_exports_never_write_to_one_folder_at_once(
    engine: Engine, objects: ObjectStore, tmp_path: Path
) -> None:
    add_photos(engine, 1)
    target, refusals = tmp_path / "export", []

    def export_again(_photos: int) -> None:
        with pytest.raises(ExportRefused) as refused:
            export(target, Exports(engine), objects, None)
        refusals.append(str(refused.value))

    export(target, Exports(engine), objects, None, export_again)
    advice = "Wait until it ends, or use another folder."
    assert refusals == [f"Another export writes to {target}. {advice}"]
    assert export(target, Exports(engine), objects, None).photos == 1


def test_export_reports_photos_without_objects_and_a_full_disk(
    engine: Engine, objects: ObjectStore, run: Run, *, anna: User, folder: Path, small_disk: Path
) -> None:
    run("import", folder, "--owner", _EMAIL)
    with reading(engine) as connection:
        id, key = connection.execute(select(photos.c.id, photos.c.photo_key)).first() or (0, "")
    objects.put(ObjectKind.PHOTO, key, b"other bytes")
    result = run("export", small_disk / "a")
    assert result.exit_code == 1
    assert (
        "1 photo without a file, because the object store lacks, refuses or has altered them" in result.output
    )
    assert f"(see `catloader gc` and `catloader check verify`): {id}." in result.output
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    full = run("export", small_disk / "b")
    assert (full.exit_code, full.output.count("\n")) == (1, 1)
    assert "No space left on device. Run the command again to continue." in full.output
    assert not list((small_disk / "b").rglob("*.part"))


@_ON_SQLITE
def test_export_leaves_out_photos_that_are_deleted_or_replaced_meanwhile(
    engine: Engine, objects: ObjectStore, anna: User, run: Run, *, folder: Path, tmp_path: Path
) -> None:
    run("import", folder, "--owner", _EMAIL)
    with reading(engine) as connection:
        (deleted_id, _), (replaced_id, _) = connection.execute(select(photos.c.id, photos.c.photo_key)).all()

    class Changing(Exports):
        """Photos change after their page was read, as on a running site."""

        def photos(self, owner_id: int | None) -> Iterator[list[ExportedPhoto]]:
            for page in super().photos(owner_id):
                with writing(engine) as connection:
                    connection.execute(delete(photos).where(photos.c.id == deleted_id))
                    values = {"photo_key": f"{'0' * 32}.jpg"}
                    connection.execute(update(photos).where(photos.c.id == replaced_id).values(values))
                for photo in page:
                    delete_object(objects, ObjectKind.PHOTO, photo.photo_key)
                yield page

    result = export(tmp_path / "exported", Changing(engine), objects, None)
    assert (result.photos, result.changed, result.missing) == (0, 2, [])
    assert (tmp_path / "exported/photos.jsonl").read_text() == ""


@_ON_SQLITE
def test_a_refused_object_does_not_end_an_export(
    engine: Engine, s3_server: EmbeddedS3, anna: User, run: Run, *, folder: Path, tmp_path: Path
) -> None:
    with refusing_store(s3_server) as (store, refused):
        others = {
            "AWS_ENDPOINT_URL_S3": store.address,
            "CATLOADER_PHOTOS_BUCKET": store.photos_bucket,
            "CATLOADER_THUMBNAILS_BUCKET": store.thumbnails_bucket,
        }
        run("import", folder, "--owner", _EMAIL, **others)
        with reading(engine) as connection:
            id, key = connection.execute(select(photos.c.id, photos.c.photo_key)).first() or (0, "")
        refused.add(key)
        result = run("export", tmp_path / "exported", **others)
    assert result.exit_code == 1
    assert (
        "1 photo without a file, because the object store lacks, refuses or has altered them" in result.output
    )
    assert f": {id}.\n" in result.output
    assert len(list((tmp_path / "exported/photos").iterdir())) == 1
    assert len((tmp_path / "exported/photos.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
def test_long_lists_of_refused_and_missing_photos_are_shortened(
    engine: Engine, run: Run, anna: User, tmp_path: Path
) -> None:
    ids = add_photos(engine, 21)
    exported = run("export", tmp_path / "exported")
    assert exported.exit_code == 1
    assert (
        "Error: 21 photos without a file, because the object store lacks, refuses or has altered them"
        in exported.output
    )
    assert exported.output.endswith(f": {', '.join(map(str, ids[:20]))}, ....\n")
    assert len((tmp_path / "exported/photos.jsonl").read_text().splitlines()) == 21
    (tmp_path / "empty").mkdir()
    for number in range(21):
        (tmp_path / f"empty/{number:02}.jpg").touch()
    lines = run("import", tmp_path / "empty", "--owner", _EMAIL).output.splitlines()
    assert lines[0] == f"{21:>8}  refused"
    assert [line.partition(": ")[0] for line in lines[1:21]] == [
        f"  {tmp_path}/empty/{number:02}.jpg" for number in range(20)
    ]
    assert lines[21:] == ["  ... and 1 more"]
