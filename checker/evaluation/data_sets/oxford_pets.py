"""Oxford-IIIT Pet (Parkhi et al. 2012): ``annotations/list.txt`` next to the folder ``images``.

A line is ``Abyssinian_100 1 1 1``: name, class, species (1 cat, 2 dog), breed; comments begin with ``#``.
Copies of the list may have been edited: with ``.jpg`` after the names, or in UTF-16, as PowerShell writes.
``trainval.txt`` and ``test.txt`` together contain the same lines without the comments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from checker.evaluation.data_sets.file_names import FileNames
from checker.evaluation.data_sets.kinds import DOG
from checker.evaluation.data_sets.tables import decoded
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, UnusablePhotos, photo_file

_LIST, _SPLITS = "annotations/list.txt", ("annotations/trainval.txt", "annotations/test.txt")
_SPECIES: dict[str, tuple[str, str | None]] = {"1": (CAT, None), "2": (NOT_CAT, DOG)}


def pet_lists_in(folder: Path) -> list[Path]:
    """Return the list of all photos of a folder or, if it is missing, the lists of the splits."""
    files = FileNames(folder)
    whole = files.find(_LIST)
    lists = [whole] if whole else [path for name in _SPLITS if (path := files.find(name))]
    return [Path(path) for path in lists]


def from_pet_lists(paths: Iterable[Path]) -> list[LabelledPhoto]:
    """Return the photos of lists, each once. The folder ``images`` is next to a list or to its folder.

    Raises:
        UnusablePhotos: a list cannot be read, a photo is missing, or a photo has two species.
    """
    photos: dict[str, LabelledPhoto] = {}
    for path in paths:
        for number, photo in _rows(path):
            before = photos.setdefault(photo.name, photo).label
            if before != photo.label:
                raise UnusablePhotos(
                    f"{path}, line {number}: {photo.name} is labelled {photo.label} here and {before} earlier"
                )
    return list(photos.values())


def _rows(path: Path) -> Iterator[tuple[int, LabelledPhoto]]:
    """Yield the line number and the photo of each row of a list."""
    try:
        lines = decoded(path.read_bytes()).splitlines()
    except UnicodeDecodeError as error:
        raise UnusablePhotos(f"{path} cannot be read as a list of pets: it is not text") from error
    except OSError as error:
        raise UnusablePhotos(f"{path} cannot be read: {error.strerror}") from error
    files = _photos_folder(path)
    for number, line in enumerate(lines, 1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        name, *numbers = content
        if len(numbers) != 3 or numbers[1] not in _SPECIES:
            raise UnusablePhotos(
                f"{path}, line {number}: not a name, a class, a species (1 or 2) and a breed: {line!r}"
            )
        photo = f"{name.removesuffix('.jpg')}.jpg"
        file = files.find(photo)
        if file is None:
            raise UnusablePhotos(f"{path}, line {number}: there is no photo {photo} in the folder images")
        yield number, photo_file(file, photo, *_SPECIES[numbers[1]])


def _photos_folder(path: Path) -> FileNames:
    for above in (path.parent.parent, path.parent):
        for entry in sorted(above.iterdir()):
            if entry.name.lower() == "images" and entry.is_dir():
                return FileNames(entry)
    raise UnusablePhotos(f"{path}: there is no folder images next to it or next to its folder")
