"""Object stores: on a running server, at any address, and on a port without a server."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from catloader.demo.client import free_port
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore

BUCKETS = ("photos", "thumbnails")


def store_at(
    endpoint_url: str,
    buckets: tuple[str, str] = BUCKETS,
    keys: tuple[str, str] = ("key", "secret"),
    kind: type[ObjectStore] = ObjectStore,
    region: str = "us-east-1",
    **others: Any,
) -> ObjectStore:
    """Make a store of the class ``kind`` without creating its buckets."""
    return kind(
        endpoint_url=endpoint_url,
        access_key_id=keys[0],
        secret_access_key=keys[1],
        region=region,
        photos_bucket=buckets[0],
        thumbnails_bucket=buckets[1],
        **others,
    )


def store_of(server: EmbeddedS3, buckets: tuple[str, str] = BUCKETS, **others: Any) -> ObjectStore:
    """Make a store on a running server and create its buckets."""
    keys = (server.access_key_id, server.secret_access_key)
    store = store_at(server.endpoint_url, buckets, keys, **others)
    store.ensure_buckets()
    return store


def delete_object(store: ObjectStore, kind: ObjectKind, key: str) -> None:
    """Delete one object, which may already be deleted."""
    assert store.delete_many(store.bucket_of(kind), [key]) == {}


def empty_buckets(store: ObjectStore) -> None:
    """Delete all objects, for the next test."""
    for bucket in (store.photos_bucket, store.thumbnails_bucket):
        for page in store.pages(bucket):
            if page:
                left = store.delete_many(bucket, [listed.key for listed in page])
                assert not left, left


def settings_of(server: EmbeddedS3, store: ObjectStore) -> dict[str, object]:
    """Return the settings, by variable, of a site that keeps its photos in this store on a running server."""
    return {
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        "CATLOADER_PHOTOS_BUCKET": store.photos_bucket,
        "CATLOADER_THUMBNAILS_BUCKET": store.thumbnails_bucket,
    }


def store_away(buckets: tuple[str, str] = BUCKETS) -> ObjectStore:
    """Make a store on a port without a server."""
    return store_at(f"http://127.0.0.1:{free_port()}", buckets)


def stores(engine: Engine, server: EmbeddedS3, objects: ObjectStore) -> dict[str, str]:
    """Return the settings, by variable, of a program that uses this database and these buckets."""
    return {
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.secret_access_key,
        "CATLOADER_PHOTOS_BUCKET": objects.photos_bucket,
        "CATLOADER_THUMBNAILS_BUCKET": objects.thumbnails_bucket,
    }
