"""Kinds of photos: error rates differ between dogs, other animals and things, so they are reported per kind.

A kind is any word that the person who labelled the photos chose. These are the kinds that the readers of data
sets assign themselves.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE
from models.catalogue import class_names

DOG, OTHER_ANIMAL, WILD, THING = "dog", "other animal", "wild feline", "thing or scene"
_CATS, _WILD_FELINES, _DOGS, _ANIMALS = range(281, 286), range(286, 294), range(151, 269), range(398)
"""Indices of ImageNet-1k's classes: its animals come first."""
_CAT_WORDS = frozenset({"cat", "cats", "house cat", "domestic cat", "kitten", "kittens"})
_WNID = re.compile(r"(?<![A-Za-z0-9])(n\d{8})(?![0-9])")
_DOG_WORDS = frozenset({"dog", "dogs", "puppy", "puppies"})
_DOG_FILE = re.compile(r"dogs?[ ._-]*\d+")
"""``dog.4209.jpg``, as the photos of "Dogs vs. Cats" are called."""


def normalised(name: str) -> str:
    """Return a kind or class name in lower case, with single spaces for underscores and hyphens."""
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


@functools.cache
def imagenet_wnids() -> tuple[str, ...]:
    """Return the WordNet IDs of ImageNet-1k's classes, in the order of the logits."""
    path = Path(__file__).with_name("imagenet_wnids.txt")
    return tuple(path.read_text("utf-8").split())


@functools.cache
def _indices() -> dict[str, int]:
    """WordNet ID or class name -> index; an exact name takes precedence over a lower-case one."""
    names = [*map(normalised, class_names()), *class_names(), *imagenet_wnids()]
    return {name: number % len(class_names()) for number, name in enumerate(names)}


def imagenet_class(name: str) -> int | None:
    """Return the index of an ImageNet class by its WordNet ID, its name, or both (``n02123045_tabby``)."""
    wnid = _WNID.search(name)
    return _indices().get(wnid[1] if wnid else name, _indices().get(normalised(name)))


def label_of_class(name: str, cat_classes: frozenset[str] = frozenset()) -> tuple[str, str | None]:
    """Return label and kind of the photos of a class.

    Args:
        name: name of a folder or category: one of the labels, an ImageNet class, or any other word.
        cat_classes: further names, ``normalised``, of classes that show house cats.
    """
    word = normalised(name)
    if word in cat_classes or word in _CAT_WORDS:
        return CAT, None
    if word in (normalised(WILD_FELINE), "wild felines"):
        return WILD_FELINE, None
    if word == normalised(NOT_CAT):
        return NOT_CAT, None
    index = imagenet_class(name)
    if index is None:
        return NOT_CAT, DOG if word in _DOG_WORDS else word
    if index in _CATS:
        return CAT, None
    kind = _kind_of_class(index)
    return (WILD_FELINE if kind == WILD else NOT_CAT), kind


def kind_from_name(file: str) -> str | None:
    """Return the kind that a file's name states, by a WordNet ID or as in ``dog.4209.jpg``."""
    wnid = _WNID.search(file)
    index = _indices().get(wnid[1]) if wnid else None
    if index is not None:
        return _kind_of_class(index)
    return DOG if _DOG_FILE.match(file.lower()) else None


def _kind_of_class(index: int) -> str:
    if index in _DOGS:
        return DOG
    if index in _WILD_FELINES:
        return WILD
    return OTHER_ANIMAL if index in _ANIMALS else THING
