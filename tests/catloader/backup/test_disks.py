"""Backups on disks that hold other files or are full."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from catloader.store.db.engine import writing
from catloader.store.db.schema import photos
from catloader.store.s3.objects import ObjectStore
from tests.catloader.backup.conftest import stored
from tests.support.commands import Run

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
        foreign += [folder / ".DS_Store", folder / "@eaDir"]
        foreign[-2].write_bytes(b"of a file manager")
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
