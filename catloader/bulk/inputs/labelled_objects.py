"""Labelled photos below a prefix of a bucket, in the layouts of ``checker.evaluation.data_sets``.

The readers of labelled folders read an outline of the prefix: a temporary folder with a sparse file of the
same size for each object, and with the contents of tables and annotations. So the labels are the same as for
a copy on disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from catloader.bulk.inputs.labelled import files
from catloader.bulk.inputs.objects import bucket_and_prefix, listed
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError
from catloader.settings import Settings
from catloader.store.kinds import ObjectKind
from catloader.wiring import build_object_store
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import UnusablePhotos
from models.temporary import temporary_folder

_TABLES = (".csv", ".tsv")
_READ = (*_TABLES, ".txt", ".json")
_READ_IN = (".", "annotations")
"""Folders in which the readers look for tables and annotations."""


def labelled_objects(settings: Settings, address: str) -> tuple[str, list[PlannedPhoto]]:
    """Return the bucket of ``s3://bucket/prefix``, and its labelled photos below the prefix.

    Disk: an empty file for each object, in the temporary folder.

    Args:
        address: of a folder, or of a table whose photos are below its folder.

    Raises:
        BulkError: the address has another form, or an object can't be planned because of its name.
        UnusablePhotos: as ``labelled_photos``.
        StoreUnavailable: there is no such bucket, or the object store does not answer.
    """
    bucket, prefix = bucket_and_prefix(address)
    path = PurePosixPath(prefix)
    table = path.name if path.suffix.lower() in _TABLES else ""
    start = prefix.rstrip("/").removesuffix(table).rstrip("/")
    start = f"{start}/" if start else ""
    with temporary_folder("catloader-outline-") as folder:
        outline = folder.resolve() / "outline"
        outline.mkdir()
        _draw(outline, settings.with_changes(s3_photos_bucket=bucket), bucket, start)
        try:
            photos = labelled_photos(outline / table)
        except UnusablePhotos as error:
            shown = f"s3://{bucket}/{start}".rstrip("/")
            raise UnusablePhotos(str(error).replace(str(outline), shown)) from error
        return bucket, list(_with_keys(files(photos), outline, start))


def _draw(outline: Path, settings: Settings, bucket: str, start: str) -> None:
    objects = build_object_store(settings)
    for entry in listed(settings, bucket, start):
        name = entry.photo_key.removeprefix(start)
        path = outline / name
        try:
            if str(PurePosixPath(name)) != name or {"/", ".."} & set(PurePosixPath(name).parts):
                raise ValueError(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                if path.suffix.lower() in _READ and str(PurePosixPath(name).parent) in _READ_IN:
                    file.write(objects.get(ObjectKind.PHOTO, entry.photo_key))
                else:
                    file.truncate(entry.size_bytes)
        except (ValueError, FileExistsError, NotADirectoryError) as error:
            raise BulkError(
                f"{entry.photo_key!r}: a file with this name can't be made next to the others."
            ) from error
        except OSError as error:
            raise BulkError(f"{entry.photo_key!r}: {error.strerror}.") from error


def _with_keys(photos: Iterator[PlannedPhoto], outline: Path, start: str) -> Iterator[PlannedPhoto]:
    for photo in photos:
        name = os.path.relpath(photo.photo_key, outline)
        if name.startswith("../"):
            raise BulkError(f"{photo.labelled and photo.labelled.name}: this file is not below the address.")
        yield photo._replace(photo_key=start + name)
