"""Compare the object store with the database in both directions: unreferenced objects, rows without objects.

Uploads in progress are not affected. Their keys are in the deletion ledger before their objects are in the
store, and later in their rows. Besides, objects younger than ``min_age`` are ignored.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from catloader.errors import CatLoaderError
from catloader.store.db.object_names import ObjectNames
from catloader.store.kinds import ObjectKind, StoredObject
from catloader.store.s3.objects import ObjectStore

_OUR_KEY = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{24})?\.jpg")
"""The pattern of keys of uploads and explanations. Other objects in the buckets are not of this site."""
_CHECKED_AT_ONCE = 1000
_LOOKED_UP = 100
"""Up to this number of orphans are looked up one by one."""
_KINDS = (ObjectKind.PHOTO, ObjectKind.THUMBNAIL)  # explanations are in the bucket of photos


@dataclass(slots=True)
class Comparison:
    """The differences between object store and database."""

    objects: int = 0
    old: int = 0
    """Those of them with keys of a site that are old enough to be orphans."""
    foreign: int = 0
    """Objects with keys that this site does not make."""
    orphans: list[StoredObject] = field(default_factory=list)
    """Objects that neither a row nor the deletion ledger names."""
    missing: list[tuple[int, ObjectKind]] = field(default_factory=list)
    """Photos whose object is not in the store."""


def is_key_of_a_site(key: str) -> bool:
    """Return True for the keys that sites make: of this site, or of another one that uses the same bucket."""
    return _OUR_KEY.fullmatch(key) is not None


def too_many(unnamed: int, named: int, *, small: int = 0) -> bool:
    """Return True if a wrong database is the likely reason why so many objects are not named.

    Args:
        unnamed: number of objects that the database does not name.
        named: number of objects that it names.
        small: up to this number are not too many, if the database names any object at all.
    """
    return unnamed > max(named, small if named else 0)


def compare(names: ObjectNames, store: ObjectStore, now: datetime, min_age: timedelta) -> Comparison:
    """List the buckets, and look up the objects of each row.

    Memory: 8 bytes for each object in the store, and the reported objects.

    Args:
        now: the current time; the object store's clock may differ by less than ``min_age``.
    """
    result, digests = Comparison(), array("Q")
    candidates: list[StoredObject] = []
    for bucket, kind in {store.bucket_of(kind): kind for kind in _KINDS}.items():  # may be the same bucket
        for page in store.pages(bucket):
            keys: list[str] = []
            for key, modified_at, _ in page:
                result.objects += 1
                digests.append(_digest(bucket, key))
                if not is_key_of_a_site(key):
                    result.foreign += 1
                elif now - modified_at >= min_age:
                    keys.append(key)
            result.old += len(keys)
            referenced = names.of_photos(keys)  # nearly all keys; the others are looked for in every row
            candidates += [StoredObject(kind, key) for key in keys if key not in referenced]
            if len(candidates) >= _CHECKED_AT_ONCE:
                result.orphans += _orphans(names, store, candidates)
                candidates = []
    result.orphans += _orphans(names, store, candidates)
    result.missing += _missing(names, store, array("Q", sorted(digests)))
    return result


def remove(names: ObjectNames, comparison: Comparison, *, force: bool = False) -> int:
    """Enter the orphans into the deletion ledger; return their number. The deletion worker does the rest.

    Raises:
        CatLoaderError: more than half of the objects that are old enough would be deleted, and ``force`` is
            not set.
    """
    orphans = comparison.orphans
    if not force and too_many(len(orphans), comparison.old - len(orphans)):
        raise CatLoaderError(
            f"{len(orphans)} of {comparison.old} objects are unknown to this database. Nothing was "
            "deleted: check DATABASE_URL and the buckets' names, or add --force."
        )
    parts = (orphans[at : at + _CHECKED_AT_ONCE] for at in range(0, len(orphans), _CHECKED_AT_ONCE))
    return sum(names.enter(part) for part in parts)


def _orphans(names: ObjectNames, store: ObjectStore, objects: list[StoredObject]) -> list[StoredObject]:
    unknown: set[str] = set()
    for at in range(0, len(objects), _CHECKED_AT_ONCE):
        unknown |= names.unknown([key for _, key in objects[at : at + _CHECKED_AT_ONCE]])
    orphans = [stored for stored in objects if stored.key in unknown]
    if len(orphans) > _LOOKED_UP:
        return orphans  # a request for each orphan would take longer than the listing
    # The deletion worker may have removed some objects, and their entries, since they were listed.
    return [stored for stored in orphans if store.exists(*stored)]


def _missing(names: ObjectNames, store: ObjectStore, listed: array[int]) -> Iterator[tuple[int, ObjectKind]]:
    for page in names.named():
        for photo_id, objects in page:
            for stored in objects:
                # An upload may have stored the object after the listing, and the owner may have deleted or
                # replaced the photo.
                is_listed = _contains(listed, _digest(store.bucket_of(stored.kind), stored.key))
                if is_listed or store.exists(*stored):
                    continue
                if names.still_named(photo_id, [key for _, key in objects]):
                    yield photo_id, stored.kind


def _digest(bucket: str, key: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{bucket}/{key}".encode(), digest_size=8).digest())


def _contains(ordered: array[int], digest: int) -> bool:
    index = bisect_left(ordered, digest)
    return index < len(ordered) and ordered[index] == digest
