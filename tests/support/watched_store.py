"""An object store that calls back before each object is put, and can fail at that point."""

from __future__ import annotations

from collections.abc import Callable

from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import store_of


class WatchedStore(ObjectStore):
    """Calls ``before_put`` with the key of each object before it is put on the real server."""

    before_put: Callable[[str], object] = staticmethod(lambda _key: None)

    def put(self, kind: ObjectKind, key: str, data: bytes) -> None:
        self.before_put(key)
        super().put(kind, key, data)


def watched_store(server: EmbeddedS3, objects: ObjectStore) -> WatchedStore:
    """Make a watched store on the same server and buckets as ``objects``."""
    store = store_of(server, (objects.photos_bucket, objects.thumbnails_bucket), kind=WatchedStore)
    assert isinstance(store, WatchedStore)
    return store
