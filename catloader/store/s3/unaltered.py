"""Read objects whose SHA-256 is known."""

from __future__ import annotations

import hashlib

from catloader.errors import ObjectAltered
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore


def get_unaltered(objects: ObjectStore, kind: ObjectKind, key: str, sha256: str) -> bytes:
    """Return the object. If its digest differs, read it again, since a proxy may have altered the response.

    Raises:
        ObjectAltered: the store has other bytes.
        NotFound, StoreUnavailable: as for ``ObjectStore.get``.
    """
    for _ in range(2):
        data = objects.get(kind, key)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    raise ObjectAltered(f"the object store holds other bytes under the key {key} ({kind}) than were stored")
