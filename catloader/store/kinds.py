"""Kinds of stored objects, by which the rest of the site addresses the object store."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ObjectKind(StrEnum):
    """Content of an object. Only the object store knows the bucket of each kind."""

    PHOTO = "photo"
    THUMBNAIL = "thumbnail"
    EXPLANATION = "explanation"


class StoredObject(NamedTuple):
    """The address of one object, in ``ObjectStore``'s methods and in the deletion ledger."""

    kind: ObjectKind
    key: str
