"""COCO annotations (Lin et al. 2014): a photo with a box of category cat is a cat.

``annotations/instances_val2017.json`` is next to the folder ``val2017``. Camera traps use the same format,
with words as IDs.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checker.evaluation.data_sets.file_names import FileNames
from checker.evaluation.data_sets.kinds import DOG, OTHER_ANIMAL, THING, WILD, label_of_class, normalised
from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE, LabelledPhoto, UnusablePhotos, photo_file

PATTERN = "annotations/instances_*.json"
_ANIMAL = "animal"
"""COCO's supercategory of animals. Camera traps and other programs often state none, or another word."""


def from_coco(path: Path, cat_classes: frozenset[str]) -> list[LabelledPhoto]:
    """Return every photo that the file lists once, with or without annotations.

    Raises:
        UnusablePhotos: the file is not a COCO file, or its photos or one of ``cat_classes`` are not found.
    """
    try:
        names, shown, categories = _parsed(json.loads(path.read_bytes()))
    except OSError as error:
        raise UnusablePhotos(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UnusablePhotos(f"{path} cannot be read as COCO annotations: it is not JSON") from error
    except (TypeError, AttributeError, LookupError) as error:
        raise UnusablePhotos(
            f"{path} cannot be read as COCO annotations: it lacks images, annotations or categories, or "
            f"these have another layout ({error})"
        ) from error
    if unknown := cat_classes - {normalised(category["name"]) for category in categories}:
        missing = " or ".join(sorted(unknown))
        raise UnusablePhotos(f"{path} has no category {missing}, which --cat-classes names")
    files, place = _photos_folder(path, names)
    photos: dict[str, tuple[str, list[Any]]] = {}
    """Path -> name and categories of a photo, since a file may be listed twice."""
    for image, name in names.items():
        file = files.find(name)
        if file is None:
            raise UnusablePhotos(f"{path}: there is no photo {place / name}")
        photos.setdefault(os.path.normpath(file), (name, []))[1].extend(shown[image])
    has_animals = any(category["supercategory"] == _ANIMAL for category in categories)
    return [
        photo_file(file, name, *_label(of, cat_classes, has_animals=has_animals))
        for file, (name, of) in photos.items()
    ]


def _parsed(content: Any) -> tuple[dict[str, str], Mapping[str, list[Any]], list[Any]]:
    """Return the photos' names by ID, the categories shown by each, and all categories."""
    categories = {
        _id(entry["id"]): {"name": str(entry["name"]), "supercategory": entry.get("supercategory")}
        for entry in content["categories"]
    }
    names: dict[str, str] = {}
    for entry in content["images"]:
        if entry["file_name"] is None:
            raise LookupError(f"the image {entry['id']!r} has no file_name")
        name = str(entry["file_name"])
        if names.setdefault(_id(entry["id"]), name) != name:
            raise LookupError(f"two images have the id {entry['id']!r}")
    shown: dict[str, list[Any]] = defaultdict(list)
    for entry in content["annotations"]:
        category = categories.get(_id(entry["category_id"]))
        if category is None:
            raise LookupError(f"category {entry['category_id']!r} has no name")
        shown[_id(entry["image_id"])].append(category)
    return names, shown, list(categories.values())


def _id(value: Any) -> str:
    """Return an id as text: some programs write the same number as 1, 1.0 and "1"."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _label(
    categories: list[Any], cat_classes: frozenset[str], *, has_animals: bool
) -> tuple[str, str | None]:
    """Return label and kind of a photo by its categories.

    Args:
        has_animals: the file says which categories are animals, by the supercategory of COCO.
    """
    classes = [label_of_class(category["name"], cat_classes) for category in categories]
    for wanted in (CAT, WILD_FELINE):
        if wanted in {label for label, _ in classes}:
            return wanted, WILD if wanted == WILD_FELINE else None
    kinds = [kind for _, kind in classes if kind is not None]
    if DOG in kinds:
        return NOT_CAT, DOG
    if OTHER_ANIMAL in kinds or any(category["supercategory"] == _ANIMAL for category in categories):
        return NOT_CAT, OTHER_ANIMAL
    return NOT_CAT, THING if has_animals or not kinds else kinds[0]


def _photos_folder(path: Path, names: Mapping[str, str]) -> tuple[FileNames, Path]:
    """Find the folder of the photos: the first of the usual places that contains the first photo."""
    first = next(iter(names.values()), None)
    if first is None:
        raise UnusablePhotos(f"{path} names no photos")
    split = path.stem.rpartition("_")[2]
    above = path.parent.parent
    places = (
        above / split, above / "images" / split, above / "images", path.parent / "images", path.parent, above,
    )  # fmt: skip
    for place in places:
        files = FileNames(place)
        if files.find(first) is not None:
            return files, place
    raise UnusablePhotos(f"{path}: its photo {first} is not in {' or '.join(map(str, places))}")
