"""Export photos with their verdicts: JPEGs, a CSV table for people, and JSON lines for programs."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from catloader.errors import CatLoaderError, NotFound, StoreUnavailable
from catloader.store.db.photos.exports import ExportedPhoto, Exports
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.refusals import refuses_one
from catloader.texts import as_cell

_COLUMNS = ["file", *(column.name for column in fields(ExportedPhoto) if column.name != "photo_key")]


class ExportRefused(CatLoaderError):
    """The folder can't be written to, or another export writes to it."""


@dataclass(slots=True)
class Exported:
    """The result of an export."""

    photos: int = 0
    already_present: int = 0
    """Files that existed already, with the right digest."""
    changed: int = 0
    """Photos that their owners deleted, replaced or rotated meanwhile: they are left out."""
    missing: list[int] = field(default_factory=list)
    """Photos whose object is missing, altered or refused: they are in the tables, but have no file."""


def export(
    folder: Path,
    exports: Exports,
    store: ObjectStore,
    owner_id: int | None,
    progress: Callable[[int], object] = lambda _photos: None,
) -> Exported:
    """Write ``photos/ID.jpg``, ``photos.csv`` and ``photos.jsonl``; a stopped run is resumed.

    The tables get their names only when they are complete. In the CSV, captions and e-mails that a
    spreadsheet would interpret as a formula are prefixed with an apostrophe.

    Args:
        progress: called with the number of newly finished photos.

    Raises:
        ExportRefused: the disk is full, the folder can't be written to, or another export writes to it.
        StoreUnavailable: the database or the object store does not answer.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            return _export(folder, exports, store, owner_id, progress)
    except OSError as error:
        raise ExportRefused(
            f"{error.filename or folder} can't be written: {error.strerror}. "
            "Run the command again to continue."
        ) from error


def _export(
    folder: Path,
    exports: Exports,
    store: ObjectStore,
    owner_id: int | None,
    progress: Callable[[int], object],
) -> Exported:
    result = Exported()
    (folder / "photos").mkdir(exist_ok=True)
    for part in (folder / "photos").glob(".[0-9]*.jpg.part"):
        part.unlink()  # left by a killed run; its photo may have been deleted since
    with (
        _draft_of(folder / "photos.csv") as table_draft,
        _draft_of(folder / "photos.jsonl") as lines_draft,
        table_draft.open("w", encoding="utf-8", newline="") as table_file,
        lines_draft.open("w", encoding="utf-8") as lines,
    ):
        table = csv.DictWriter(table_file, _COLUMNS)
        table.writeheader()
        for page in exports.photos(owner_id):
            for photo in page:
                file = _write_photo(folder, photo, store, result)
                if not file and not exports.has(photo):
                    result.changed += 1
                    continue
                if not file:
                    result.missing.append(photo.id)
                result.photos += 1
                row = _row(photo, file)
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
                table.writerow({name: as_cell(value) for name, value in row.items()})
            progress(len(page))
    return result


def _write_photo(folder: Path, photo: ExportedPhoto, store: ObjectStore, result: Exported) -> str:
    """Write the JPEG; return its path in the folder, or an empty string if it is unavailable."""
    name = f"photos/{photo.id}.jpg"
    path = folder / name
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == photo.sha256:
        result.already_present += 1
        return name
    try:
        data = store.get(ObjectKind.PHOTO, photo.photo_key)
    except NotFound:
        return ""
    except StoreUnavailable as error:
        if not refuses_one(store, photo.photo_key, error):
            raise
        return ""
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        return ""
    with _draft_of(path) as draft:
        draft.write_bytes(data)
    return name


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder itself, so that no lock file remains among the photos."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            advice = "Wait until it ends, or use another folder."
            raise ExportRefused(f"Another export writes to {folder}. {advice}") from None
        except OSError:  # some network file systems cannot lock a folder: export without the lock
            pass
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """Yield the path of a draft, which is renamed to ``path`` at the end, or removed after an error."""
    draft = path.with_name(f".{path.name}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _row(photo: ExportedPhoto, file: str) -> dict[str, Any]:
    values = {
        name: getattr(value, "isoformat", lambda value=value: value)()
        for name, value in asdict(photo).items()
    }
    del values["photo_key"]
    return {"file": file, **values}
