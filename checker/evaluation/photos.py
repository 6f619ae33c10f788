"""Labelled photos, with the renditions that the site would store; ``data_sets`` reads them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from checker.errors import CheckerError
from checker.folder.walk import DECODE_LIMITS, read
from checker.isolation.limits import Limits
from checker.pixels.isolated import IsolatedDecoder, isolated_decoder
from checker.pixels.renditions import site_renditions
from checker.values import Rendition

CAT, NOT_CAT, WILD_FELINE = "cat", "not_cat", "wild_feline"
"""The labels. Wild felines are reported separately: they are not used to choose thresholds."""
LABELS = (CAT, NOT_CAT, WILD_FELINE)
FEWEST = 50
"""Smallest number of photos of each label that measures a useful rate."""


class UnusablePhotos(CheckerError):
    """The labelled photos are missing, unreadable, too few or not labelled."""


class Labelled(Protocol):
    """The name and label of a photo from any source."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo and its label; its files are read when they are needed."""

    name: str
    """Printable: bytes of a file name that are not UTF-8 are escaped."""
    label: str
    read: Callable[[], Mapping[Rendition, bytes]]
    """Return both renditions as the site stores them: JPEGs. Raises ``UnusablePhotos``."""
    kind: str | None = None
    """The subject of the photo, in lower case: ``dog``, ``thing or scene``. Rates are reported per kind."""
    source_sha256: Callable[[], str] | None = None
    """Return the digest of the source of the renditions: this takes less time than making the renditions."""
    path: str | None = None
    """The file that the renditions are made from; None: they are not made from a file."""

    @property
    def kind_or_label(self) -> str:
        """The photo's kind, as ``kind_of`` returns it."""
        return kind_of(self.kind, self.label)

    def digest(self) -> str:
        """Return a digest of the photo's contents. Raises as ``read`` does."""
        return self.source_sha256() if self.source_sha256 else renditions_sha256(self.read())


def kind_of(kind: str | None, label: str) -> str:
    """Return the kind of a photo, or one derived from its label if it has none."""
    return kind or {CAT: "cat", NOT_CAT: "other", WILD_FELINE: "wild feline"}[label]


def both_labels(photos: Iterable[LabelledPhoto], source: str) -> list[LabelledPhoto]:
    """Sort the photos by name.

    Raises:
        UnusablePhotos: one of the labels has no photos.
    """
    by_name = sorted(photos, key=lambda photo: photo.name)
    counts = Counter(photo.label for photo in by_name)
    if not (counts[CAT] and counts[NOT_CAT]):
        counted = ", ".join(f"{counts[label]} {label}" for label in LABELS)
        raise UnusablePhotos(f"{source}: photos of both labels are needed, cat and not_cat; found {counted}")
    return by_name


def enough_of_both(photos: Iterable[Labelled], fewest: int = FEWEST) -> None:
    """Check the number of photos before spending minutes on measuring them.

    Raises:
        UnusablePhotos: fewer than ``fewest`` of one label.
    """
    counts = Counter(photo.label for photo in photos)
    if min(counts[CAT], counts[NOT_CAT]) < fewest:
        raise UnusablePhotos(
            f"at least {fewest} photos of either label are needed; "
            f"there are {counts[CAT]} of {CAT} and {counts[NOT_CAT]} of {NOT_CAT}"
        )


def describe(photos: Sequence[Labelled], contents: Iterable[str]) -> dict[str, Any]:
    """Return counts, and a digest over names, labels and ``contents`` (a sha256 for each photo)."""
    lines = "".join(
        f"{photo.name}\t{photo.label}\t{sha256}\n" for photo, sha256 in zip(photos, contents, strict=True)
    )
    return {
        "counts": dict(sorted(Counter(photo.label for photo in photos).items())),
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
    }


class Copies:
    """Recognises copies of photos, with which a head would be judged on photos that it was fitted on.

    Memory: content and label of each photo.
    """

    def __init__(self) -> None:
        self._firsts: dict[str, Labelled] = {}

    def is_copy(self, photo: Labelled, content: str) -> bool:
        """Return True if an earlier call passed a photo with the same content.

        Args:
            content: a digest or another string that identifies the content.

        Raises:
            UnusablePhotos: the earlier photo has another label.
        """
        before = self._firsts.setdefault(content, photo)
        if before.label != photo.label:
            raise UnusablePhotos(
                f"{photo.name} is labelled {photo.label}, but {before.name}, which is the same file, "
                f"is labelled {before.label}"
            )
        return before is not photo


def distinct_photos(photos: Sequence[LabelledPhoto]) -> list[LabelledPhoto]:
    """Return the photos without copies of the same file.

    Raises:
        UnusablePhotos: two copies have different labels, or a photo can't be read.
    """
    sizes = [_size_bytes(photo) for photo in photos]
    counts = Counter(sizes)
    copies = Copies()
    distinct = []
    for photo, size in zip(photos, sizes, strict=True):
        may_have_copies = size is not None and counts[size] > 1  # files of a unique size are not read
        content = photo.digest() if may_have_copies else photo.path or photo.name
        if not copies.is_copy(photo, content):
            distinct.append(photo)
    return distinct


def _size_bytes(photo: LabelledPhoto) -> int | None:
    try:
        return os.stat(photo.path).st_size if photo.path else None  # noqa: PTH116 - names may be no UTF-8
    except OSError:
        return None  # the error is reported when the photo is read


@contextmanager
def naming(photo: str) -> Iterator[None]:
    """Turn an error into one that names the photo: all photos must be readable, or the figures don't hold.

    Raises:
        UnusablePhotos: instead of any ``CheckerError``.
    """
    try:
        yield
    except CheckerError as error:
        raise UnusablePhotos(f"{photo}: {error}") from error


def photo_file(path: str, name: str, label: str, kind: str | None) -> LabelledPhoto:
    """Return a labelled photo that is read from a file; ``name`` may contain bytes that are not UTF-8."""

    def renditions() -> Mapping[Rendition, bytes]:
        with naming(in_utf8(path)):
            return site_renditions(read(path), fast=False)

    def source_sha256() -> str:
        with naming(in_utf8(path)):
            return hashlib.sha256(read(path)).hexdigest()

    return LabelledPhoto(in_utf8(name), label, renditions, kind, source_sha256, path)


@contextmanager
def decoded_apart(
    photos: Iterable[LabelledPhoto], limits: Limits = DECODE_LIMITS
) -> Iterator[list[LabelledPhoto]]:
    """Yield the photos with their files decoded in a child process, with limits for each photo.

    Read the photos inside the block. Photos that do not come from files are not changed.
    """
    with isolated_decoder(1, limits) as decoder:
        yield [_decoded_by(decoder, photo) for photo in photos]


def _decoded_by(decoder: IsolatedDecoder, photo: LabelledPhoto) -> LabelledPhoto:
    path = photo.path
    if path is None:
        return photo

    def renditions() -> Mapping[Rendition, bytes]:
        with naming(in_utf8(path)):
            return decoder.renditions(read(path), fast=False)

    return replace(photo, read=renditions)


def renditions_sha256(renditions: Mapping[Rendition, bytes]) -> str:
    """Return a digest of both renditions of a photo, as ``describe`` takes it."""
    return hashlib.sha256(b"".join(renditions[rendition] for rendition in Rendition)).hexdigest()


def in_utf8(name: str) -> str:
    """Escape bytes that are not UTF-8: they arrive as surrogates, which can't be written to a file."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
