"""Backups on disks that hold other files, that are full, or that are not those of the site."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from catloader.store.db.accounts.sessions import Sessions
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.store.s3.objects import ObjectStore
from tests.catloader.backup.conftest import stored
from tests.support.commands import Run
from tests.support.rows import some_user

_ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)


@_ON_SQLITE
def test_files_that_systems_make_on_a_disk_are_left_alone(
    engine: Engine, objects: ObjectStore, run: Run, tmp_path: Path
) -> None:
    """A disk of its own has ``lost+found``; a NAS or a file manager adds files to every folder."""
    backup = tmp_path / "backup"
    for name in ("lost+found", ".Trash-1000", "#recycle"):
        (backup / name).mkdir(parents=True)
    stored(engine, objects)
    deleted_id, _ = stored(engine, objects)
    first = run("backup", backup)
    assert first.exit_code == 0, first.output
    foreign = []
    for folder in (backup, *backup.glob("objects"), *backup.glob("objects/*"), *backup.glob("objects/*/*")):
        foreign += [folder / name for name in (".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir")]
        for file in foreign[-4:-1]:
            file.write_bytes(b"of a file manager")
        foreign[-1].mkdir()
    with writing(engine) as connection:
        connection.execute(delete(photos).where(photos.c.id == deleted_id))
    again = run("backup", backup)
    assert again.exit_code == 0, again.output
    assert "2 objects removed from the backup" in again.output
    assert len(list(backup.glob("objects/*/*/*.jpg"))) == 2
    assert all(path.exists() for path in foreign)


def _fill(disk: Path, free_bytes: int = 0) -> Path:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - free_bytes))
    return ballast


@_ON_SQLITE
def test_a_full_disk_of_the_data_folder_does_not_prevent_a_backup(
    engine: Engine, objects: ObjectStore, run: Run, *, small_disk: Path, tmp_path: Path
) -> None:
    stored(engine, objects)
    data = small_disk / "data"
    data.mkdir()
    _fill(small_disk)
    result = run("backup", tmp_path / "backup", CATLOADER_DATA_DIR=str(data))
    assert result.exit_code == 0, result.output
    assert "1 photo of 1 account" in result.output
    assert list(data.iterdir()) == []


@_ON_SQLITE
def test_a_restore_names_the_disk_that_is_full(
    engine: Engine, objects: ObjectStore, run: Run, *, small_disk: Path, empty_url: str, tmp_path: Path
) -> None:
    stored(engine, objects)
    backup, data = tmp_path / "backup", small_disk / "data"
    run("backup", backup)
    data.mkdir()
    ballast = _fill(small_disk, 40_000)
    settings = {"CATLOADER_DATA_DIR": str(data), "DATABASE_URL": empty_url}
    full = run("restore", backup, **settings)
    assert (full.exit_code, full.output) == (
        1,
        f"Error: The disk of the data folder {data} is full, and no row was restored. Free some space and "
        "run the command again.\n",
    )
    ballast.unlink()
    assert "Restored 1 photo of 1 account" in run("restore", backup, **settings).output


def test_the_key_of_a_site_is_not_lost_in_a_command_with_another_data_folder(
    engine: Engine, objects: ObjectStore, run: Run, tmp_path: Path
) -> None:
    """``DATABASE_URL`` leads to the site from every folder; a relative data folder does not."""
    stored(engine, objects)
    user = some_user(engine)
    Sessions(engine, idle_days=1, days=1, most=9).begin(user, utcnow())
    data, other, backup = tmp_path / "data", tmp_path / "other", tmp_path / "backup"
    data.mkdir()
    (data / "secret-key").write_text("the key of the site")
    assert run("backup", backup).exit_code == 0
    before = {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()}
    refused = run("backup", backup, CATLOADER_DATA_DIR=str(other))
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert f"{backup} has the key that signs log-ins, and the data folder {other} has none." in refused.output
    assert {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()} == before
    key = {"CATLOADER_DATA_DIR": str(other), "CATLOADER_SECRET_KEY": "a key of the settings"}
    assert run("backup", backup, **key).exit_code == 0  # the key has moved to the settings
    assert run("backup", backup, CATLOADER_DATA_DIR=str(data)).exit_code == 0
    for folder, words in (("new", ()), ("backup", ("--prune",))):
        result = run("backup", tmp_path / folder, *words, CATLOADER_DATA_DIR=str(other))
        assert result.exit_code == 1
        assert "1 photo of 2 accounts are in" in result.output
        assert (
            "Error: The backup lacks the secrets and profiles of the site. The key that signs log-ins and "
            f"tokens is neither in CATLOADER_SECRET_KEY nor in the data folder {other}; " in result.output
        )
    assert run("backup", backup, **key).exit_code == 0
