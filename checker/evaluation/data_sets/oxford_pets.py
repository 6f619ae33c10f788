"""Oxford-IIIT Pet (Parkhi et al. 2012): ``annotations/list.txt`` next to the folder ``images``.

A line is ``Abyssinian_100 1 1 1``: name, class, species (1 cat, 2 dog), breed; comments begin with ``#``. Its
``trainval.txt`` and ``test.txt`` are the same without comments.
"""

from __future__ import annotations

from pathlib import Path

from checker.evaluation.data_sets.kinds import DOG
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, UnusablePhotos, photo_file

LIST = Path("annotations", "list.txt")
_SPECIES: dict[str, tuple[str, str | None]] = {"1": (CAT, None), "2": (NOT_CAT, DOG)}


def from_pet_list(path: Path) -> list[LabelledPhoto]:
    """Return the photos of a list; the folder ``images`` is next to the list's folder, or next to the list.

    Raises:
        UnusablePhotos: the list cannot be read, or a photo is missing.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusablePhotos(f"{path} cannot be read as a list of pets: {error}") from error
    images = next(
        (place for place in (path.parent.parent / "images", path.parent / "images") if place.is_dir()), None
    )
    if images is None:
        raise UnusablePhotos(f"{path}: there is no folder images next to it or next to its folder")
    photos = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *numbers = line.split()
        if len(numbers) != 3 or numbers[1] not in _SPECIES:
            raise UnusablePhotos(
                f"{path}, line {number}: not a name, a class, a species (1 or 2) and a breed: {line!r}"
            )
        file = images / f"{name}.jpg"
        if not file.is_file():
            raise UnusablePhotos(f"{path}, line {number}: there is no photo {file}")
        photos.append(photo_file(str(file), file.name, *_SPECIES[numbers[1]]))
    return photos
