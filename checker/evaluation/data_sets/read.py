"""Labelled photos from a folder or a file in any of the known layouts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from checker.evaluation.data_sets.class_folders import from_class_folders
from checker.evaluation.data_sets.coco import PATTERN, from_coco
from checker.evaluation.data_sets.kinds import normalised
from checker.evaluation.data_sets.oxford_pets import from_pet_lists, pet_lists_in
from checker.evaluation.data_sets.tables import from_tables, tables_in
from checker.evaluation.photos import LabelledPhoto, UnusablePhotos, both_labels


def labelled_photos(data: Path, cat_classes: Iterable[str] = ()) -> list[LabelledPhoto]:
    """Return the labelled photos, sorted by name. Hidden files and folders are left out.

    Args:
        data: a CSV file with the columns ``file``, ``label`` and optionally ``kind``, or a folder with such
            files; the folder or ``list.txt`` of Oxford-IIIT Pet; the folder or ``.json`` of COCO; or a folder
            with a folder for each class.
        cat_classes: names of the classes that show house cats, in addition to ``cat`` and ImageNet's classes.
    Raises:
        UnusablePhotos: there is no such data, a label is unknown, one of the labels has no photos, or one of
            ``cat_classes`` is missing.
    """
    cats = frozenset(map(normalised, cat_classes)) - {""}
    if data.is_dir():
        return both_labels(_from_folder(data, cats), str(data))
    if not data.is_file():
        raise UnusablePhotos(f"{data}: no such folder or file")
    if data.suffix.lower() == ".json":
        return both_labels(from_coco(data, cats), str(data))
    read = from_pet_lists if data.suffix.lower() == ".txt" else from_tables
    _refuse_classes(cats, data)
    return both_labels(read([data]), str(data))


def _from_folder(folder: Path, cat_classes: frozenset[str]) -> Iterable[LabelledPhoto]:
    if tables := tables_in(folder):
        _refuse_classes(cat_classes, tables[0])
        return from_tables(tables)
    if lists := pet_lists_in(folder):
        _refuse_classes(cat_classes, lists[0])
        return from_pet_lists(lists)
    annotations = sorted(folder.glob(PATTERN))
    if len(annotations) > 1:
        names = ", ".join(path.name for path in annotations)
        raise UnusablePhotos(f"{folder} has annotations of several sets of photos: give one of {names}")
    if annotations:
        return from_coco(annotations[0], cat_classes)
    return from_class_folders(folder, cat_classes)


def _refuse_classes(cat_classes: frozenset[str], table: Path) -> None:
    if cat_classes:
        raise UnusablePhotos(
            f"{table} has a label for each photo and no class {min(cat_classes)}, which --cat-classes names"
        )
