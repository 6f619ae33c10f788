"""Labelled photos, from a folder or from the reviewed photos of the site's own database."""

from __future__ import annotations

import atexit
import csv
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catloader.errors import CatLoaderError
from catloader.intake.prepare import Limits, prepare
from catloader.settings import Settings
from checker.errors import UnreadableImage
from scripts.command_line import CannotRun

CAT, NOT_CAT, WILD_FELINE = "cat", "not_cat", "wild_feline"
"""The labels. Wild felines are reported apart: they choose no threshold."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True, slots=True)
class Pictures:
    """Both views as the site stores them: JPEGs."""

    photo: bytes
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    name: str
    label: str
    read: Callable[[], Pictures]


class NoData(CannotRun):
    """The data is not there, or not labelled."""


def labelled_photos(data: str) -> list[LabelledPhoto]:
    """By name.

    Args:
        data: a folder with ``labels.csv`` (columns ``file`` and ``label``), such a file, a folder with
            ``cat/``, ``not_cat/`` and perhaps ``wild_feline/``, or ``database``.
    """
    if data == "database":
        photos = list(_reviewed_photos())
    else:
        path = Path(data)
        table = path / "labels.csv" if path.is_dir() else path
        if table.is_file():
            photos = _from_table(table)
        elif path.is_dir():
            photos = list(_from_folders(path))
        else:
            raise NoData(f"{data}: no such folder or labels.csv")
    counts = Counter(photo.label for photo in photos)
    if not (counts[CAT] and counts[NOT_CAT]):
        raise NoData(f"{data}: needs photos of both labels, cat and not_cat; found {dict(counts)}")
    return sorted(photos, key=lambda photo: photo.name)


def describe(photos: Sequence[LabelledPhoto], content: Iterable[str]) -> dict[str, Any]:
    """Counts and a digest over names, labels and content (a sha256 for each photo)."""
    lines = "".join(
        f"{photo.name}\t{photo.label}\t{sha256}\n" for photo, sha256 in zip(photos, content, strict=True)
    )
    return {
        "counts": dict(sorted(Counter(photo.label for photo in photos).items())),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


def _from_table(table: Path) -> list[LabelledPhoto]:
    photos = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before UTF-8
            rows = csv.DictReader(file)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise NoData(f"{table}: its first line must name the columns file and label")
            for row in rows:
                name, label = row["file"] or "", row["label"] or ""
                if label not in (CAT, NOT_CAT, WILD_FELINE):
                    raise NoData(f"{table}: {label!r} is no label; there are cat, not_cat and wild_feline")
                if not (table.parent / name).is_file():
                    raise NoData(f"{table}, line {rows.line_num}: there is no file {name!r} beside it")
                photos.append(_file(table.parent / name, name, label))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NoData(f"{table} cannot be read as a table: {error}") from error
    return photos


def _from_folders(folder: Path) -> Iterable[LabelledPhoto]:
    for label in (CAT, NOT_CAT, WILD_FELINE):
        for path in (folder / label).rglob("*"):
            if path.suffix.lower() in SUFFIXES:
                yield _file(path, str(path.relative_to(folder)), label)


def _file(path: Path, name: str, label: str) -> LabelledPhoto:
    def read() -> Pictures:
        with named(path):
            return as_stored(path.read_bytes())

    return LabelledPhoto(name, label, read)


@contextmanager
def named(photo: object) -> Iterator[None]:
    """All photos must be readable, or the numbers would be of other photos: the bad one is told.

    Raises:
        NoData: in place of what says that a photo can't be read.
    """
    try:
        yield
    except (OSError, CatLoaderError, UnreadableImage) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise NoData(f"{photo} cannot be read: {why}") from error


def as_stored(data: bytes) -> Pictures:
    """What an upload of this file leaves in the store, with the site's own settings."""
    site = Settings()
    prepared = prepare(
        data,
        limits=Limits(
            max_bytes=2**62,
            max_pixels=site.max_pixels,
            max_edge_px=site.max_edge_px,
            thumbnail_px=site.thumbnail_px,
            jpeg_quality=site.jpeg_quality,
        ),
    )
    return Pictures(prepared.photo, prepared.thumbnail)


def _reviewed_photos() -> Iterable[LabelledPhoto]:
    from sqlalchemy import select

    from catloader.server.data_dir import prepare_data_dir
    from catloader.server.object_store import shared_or_own_object_store
    from catloader.store.db.schema import photos
    from catloader.store.kinds import ObjectKind
    from catloader.wiring import build

    settings = Settings.from_environment(os.environ)
    prepare_data_dir(settings)
    running = ExitStack()  # the photos are read later, so the embedded S3 stays until the end
    atexit.register(running.close)
    services = build(running.enter_context(shared_or_own_object_store(settings)), checker=False)
    running.callback(services.close)
    objects = services.objects
    chosen = select(photos.c.id, photos.c.photo_key, photos.c.thumbnail_key, photos.c.human_verdict)
    with services.engine.connect() as connection:
        rows = connection.execute(chosen.where(photos.c.human_verdict.is_not(None))).all()
    for row in rows:
        name = f"image-{row.id:012d}"

        def read(
            name: str = name, photo: str = row.photo_key, thumbnail: str = row.thumbnail_key
        ) -> Pictures:
            with named(name):
                return Pictures(
                    objects.get(ObjectKind.PHOTO, photo),
                    objects.get(ObjectKind.THUMBNAIL, thumbnail),
                )

        yield LabelledPhoto(name, row.human_verdict, read)
