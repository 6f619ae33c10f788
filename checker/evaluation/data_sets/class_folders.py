"""Folders of classes, laid out as for torchvision's ImageFolder: one folder per class, named after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from checker.evaluation.data_sets.kinds import kind_from_name, label_of_class, normalised
from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto, UnusablePhotos, in_utf8, photo_file
from checker.folder.walk import WalkedFile, is_hidden, walk
from checker.values import Verdict

_UNLABELLED = frozenset({Verdict.UNSURE.value, Verdict.UNREADABLE.value})
"""Verdicts that are not labels, by which people sort photos; without them a cat in `unsure` would be another
class."""
_SHOWN = 8
"""Number of folder names that an error message lists."""


def from_class_folders(folder: Path, cat_classes: frozenset[str]) -> Iterator[LabelledPhoto]:
    """Yield the photos below each class folder, except hidden files.

    The kind of a photo without a cat is its class, or, below ``not_cat``, the name of the next folder.

    Raises:
        UnusablePhotos: no folder is named after cats, there is no folder for one of ``cat_classes``, a folder
            of another class contains a folder named after cats, a folder is named `unsure` or `unreadable`,
            or a folder can't be read.
    """
    classes = sorted(
        (entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name)),
        key=lambda entry: entry.name,
    )
    labels = {entry: label_of_class(in_utf8(entry.name), cat_classes) for entry in classes}
    if CAT not in {label for label, _ in labels.values()}:
        raise UnusablePhotos(_no_cats(folder, classes, cat_classes))
    if unknown := cat_classes - {normalised(in_utf8(entry.name)) for entry in classes}:
        names = " or ".join(sorted(unknown))
        raise UnusablePhotos(f"{folder} has no folder {names}, which --cat-classes names")
    for entry, (label, kind) in labels.items():
        if label == NOT_CAT and kind is not None and (cats := _cats_below(entry, cat_classes)):
            raise UnusablePhotos(
                f"{in_utf8(str(entry))} is a class without cats, and its folder {cats} is named after cats"
            )
        for file in files_below(entry):
            if file.error:
                raise UnusablePhotos(f"{in_utf8(file.path)}: {file.error}")
            if kind in _UNLABELLED:
                raise UnusablePhotos(
                    f"{in_utf8(str(entry))} has a verdict as its name, which is not a label: sort its "
                    "photos into the other folders, or move it away"
                )
            parts = Path(os.path.relpath(file.path, entry)).parts
            photo_kind = kind
            if photo_kind is None and label == NOT_CAT:
                photo_kind = normalised(in_utf8(parts[0])) if len(parts) > 1 else kind_from_name(parts[-1])
            yield photo_file(file.path, os.path.relpath(file.path, folder), label, photo_kind)


def files_below(folder: Path) -> Iterator[WalkedFile]:
    """Yield the photos in and below a folder as ``walk`` does, and those behind links to folders.

    Sets of photos are often made of links to the folders of others, and torchvision's ImageFolder follows
    them. A folder behind several links is read once, also if one of them leads to a folder above it; one that
    contains ``folder`` is not read.
    """
    waiting, places, above = [str(folder)], set[Path](), set(folder.resolve().parents)
    while waiting:
        path = waiting.pop(0)
        place = Path(path).resolve()
        if place in above or any(place.is_relative_to(read) for read in places):
            continue
        known = [read for read in places if read.is_relative_to(place)]
        places.add(place)
        skipped: list[str] = []
        for file in walk([path], on_skip=skipped.append):
            real = place / Path(file.path).relative_to(path) if known else place
            if not any(real.is_relative_to(read) for read in known):
                yield file
        waiting += [link for link in skipped if _is_folder(link) and not is_hidden(Path(link).name)]


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - is_dir() raises where it may not look


def _no_cats(folder: Path, classes: list[Path], cat_classes: frozenset[str]) -> str:
    start = f"{folder}: no table with the columns file and label, no annotations, and "
    if not classes:
        return start + "no folders of classes such as cat and not_cat"
    for entry in classes:
        if _cats_below(entry, cat_classes):
            return start + f"no folder named after cats; {in_utf8(entry.name)} has one: name that folder"
    names = [in_utf8(entry.name) for entry in classes]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return start + f"no folder named after cats, only {shown}: name those that show cats with --cat-classes"


def _cats_below(folder: Path, cat_classes: frozenset[str]) -> str | None:
    """Return the name of a subfolder that is named after cats; None if there is none."""
    try:
        names = [in_utf8(below.name) for below in sorted(folder.iterdir()) if below.is_dir()]
    except OSError:  # ``walk`` reports the folder that can't be read
        return None
    return next((name for name in names if label_of_class(name, cat_classes)[0] == CAT), None)
