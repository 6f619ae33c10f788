"""Kinds of stored objects: the names by which the rest of the site speaks of the object store."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ObjectKind(StrEnum):
    """What an object holds. The object store alone knows in which bucket each kind lies."""

    PHOTO = "photo"
    THUMBNAIL = "thumbnail"
    EXPLANATION = "explanation"


class StoredObject(NamedTuple):
    """One object, as ``ObjectStore``'s methods and the deletion ledger name it."""

    kind: ObjectKind
    key: str
