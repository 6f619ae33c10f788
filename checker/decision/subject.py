"""Subjects: the set of ImageNet classes that the checker looks for, as data.

Three are built in; any other is a TOML file::

    name = "big_cat"
    classes = ["lion", "tiger", 290]   # ImageNet-1k names or indices
    wild = []                          # optional: similar classes that must not count
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checker.errors import ModelRefused
from models.catalogue import CLASSES
from models.catalogue import class_names as imagenet_names


@dataclass(frozen=True, slots=True)
class Subject:
    """A named set of ImageNet-1k classes. Indices are sorted, without duplicates."""

    name: str
    classes: tuple[int, ...]
    wild: tuple[int, ...] = ()
    """Similar classes (felines that are not house cats): reported as such, never counted as the subject."""

    def __post_init__(self) -> None:
        for group in (self.classes, self.wild):
            if any(not 0 <= index < CLASSES for index in group):
                raise ModelRefused(f"subject {self.name}: ImageNet classes are numbered 0 to {CLASSES - 1}")
        if not self.classes:
            raise ModelRefused(f"subject {self.name}: names no classes")
        if set(self.classes) & set(self.wild):
            raise ModelRefused(f"subject {self.name}: a class is in both classes and wild")
        if len(set(self.classes)) == CLASSES:
            raise ModelRefused(f"subject {self.name}: it contains every class, so there are no other photos")
        object.__setattr__(self, "classes", tuple(sorted(set(self.classes))))
        object.__setattr__(self, "wild", tuple(sorted(set(self.wild))))


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("house_cat", tuple(range(281, 286)), tuple(range(286, 294))),
        Subject("feline", tuple(range(281, 294))),
        Subject("dog", tuple(range(151, 269))),
    )
}
"""ImageNet-1k keeps families together: 151-268 dogs, 281-285 tabby to Egyptian, 286-293 cougar to cheetah."""


def load_subject(name_or_path: str, class_names: Sequence[str] | None = None) -> Subject:
    """Return a built-in subject by name, or read one from a TOML file.

    Args:
        class_names: names of all 1000 classes in order; None: the catalogue's.

    Raises:
        ModelRefused: there is no such subject, or the file is not valid.
    """
    if name_or_path in SUBJECTS:
        return SUBJECTS[name_or_path]
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise ModelRefused(
            f"There is no subject {name_or_path!r}: use one of {', '.join(SUBJECTS)}, or a .toml file."
        )
    if path.exists() and not path.is_file():  # reading a pipe may never end
        raise ModelRefused(f"subject file {path}: it is not a regular file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows write a mark
    except OSError as error:
        raise ModelRefused(f"subject file {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelRefused(f"subject file {path}: {error}") from error
    extra = set(data) - {"name", "classes", "wild"}
    if extra:
        raise ModelRefused(f"subject file {path}: unknown key {sorted(extra)[0]!r}")
    name = data.get("name", path.stem)
    if not isinstance(name, str) or not name.isidentifier():
        raise ModelRefused(f"subject file {path}: name must be letters, digits and underscores")
    groups = [
        _indices(data.get(group, []), class_names or imagenet_names(), path) for group in ("classes", "wild")
    ]
    return Subject(name, *groups)


def _indices(entries: Any, class_names: Sequence[str], path: Path) -> tuple[int, ...]:
    if not isinstance(entries, list):
        raise ModelRefused(f"subject file {path}: classes and wild are lists")
    indices: list[int] = []
    folded_names = [name.casefold() for name in class_names]
    for entry in entries:
        if isinstance(entry, int) and not isinstance(entry, bool):
            indices.append(entry)
        elif isinstance(entry, str):
            # The exact spelling first: a Cardigan is a dog, and a cardigan a jacket.
            names, name = (class_names, entry) if entry in class_names else (folded_names, entry.casefold())
            if name not in names:
                raise ModelRefused(f"subject file {path}: {entry!r} is not an ImageNet-1k class")
            indices.append(names.index(name))
        else:
            raise ModelRefused(f"subject file {path}: {entry!r} is neither a class name nor an index")
    return tuple(indices)
