"""COCO annotations (Lin et al. 2014): a photo with a box of category cat is a cat.

``annotations/instances_val2017.json`` is next to the folder ``val2017``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from checker.evaluation.data_sets.kinds import DOG, OTHER_ANIMAL, THING, label_of_class
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, UnusablePhotos, photo_file

PATTERN = "annotations/instances_*.json"


def from_coco(path: Path, cat_classes: frozenset[str]) -> list[LabelledPhoto]:
    """Return every photo of the file, with or without annotations.

    Raises:
        UnusablePhotos: it is no such file, or its photos are not found.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        categories = {int(entry["id"]): entry for entry in content["categories"]}
        names = {int(entry["id"]): str(entry["file_name"]) for entry in content["images"]}
        shown: dict[int, list[Any]] = defaultdict(list)
        for entry in content["annotations"]:
            shown[int(entry["image_id"])].append(categories[int(entry["category_id"])])
        labels = {image: _label(shown[image], cat_classes) for image in names}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnusablePhotos(
            f"{path} cannot be read as COCO annotations: {type(error).__name__}: {error}"
        ) from error
    folder = _images(path, names.values())
    photos = []
    for image, name in names.items():
        if not (folder / name).is_file():
            raise UnusablePhotos(f"{path}: there is no photo {folder / name}")
        photos.append(photo_file(str(folder / name), name, *labels[image]))
    return photos


def _label(categories: list[Any], cat_classes: frozenset[str]) -> tuple[str, str | None]:
    classes = [label_of_class(str(category["name"]), cat_classes) for category in categories]
    if CAT in {label for label, _ in classes}:
        return CAT, None
    if DOG in {kind for _, kind in classes}:
        return NOT_CAT, DOG
    animal = any(category.get("supercategory") == "animal" for category in categories)
    return NOT_CAT, OTHER_ANIMAL if animal else THING


def _images(path: Path, names: Any) -> Path:
    """Find the folder of the photos: the first place that has the first of them."""
    first = next(iter(names), None)
    if first is None:
        raise UnusablePhotos(f"{path} names no photos")
    split = path.stem.rpartition("_")[2]
    above = path.parent.parent
    places = (above / split, above / "images" / split, above / "images", path.parent / "images", path.parent)
    for place in places:
        if (place / first).is_file():
            return place
    raise UnusablePhotos(f"{path}: its photo {first} is not in {' or '.join(map(str, places))}")
