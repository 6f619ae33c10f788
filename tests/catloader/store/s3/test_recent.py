from __future__ import annotations

from typing import Any

import pytest

from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.store.s3.recent import RecentRenditions
from checker.errors import ObjectMissing
from checker.values import Claim, Rendition
from tests.support.object_stores import delete_object


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_rendition_is_returned_once() -> None:
    recent = RecentRenditions(10)
    recent.add("a", b"1234")
    assert recent.take("a") == b"1234"
    assert recent.take("a") is None


def test_oldest_renditions_are_evicted_for_newer_ones() -> None:
    recent = RecentRenditions(10)
    for key in "abc":
        recent.add(key, key.encode() * 4)
    assert [recent.take(key) for key in "abc"] == [None, b"bbbb", b"cccc"]
    for key in "def":  # what was returned has freed its memory too
        recent.add(key, key.encode() * 3)
    assert [recent.take(key) for key in "def"] == [b"ddd", b"eee", b"fff"]


def test_rendition_larger_than_the_limit_is_not_kept_and_evicts_none() -> None:
    recent = RecentRenditions(10)
    recent.add("a", b"1")
    recent.add("b", bytes(11))
    assert (recent.take("a"), recent.take("b")) == (b"1", None)


def test_rendition_put_again_replaces_the_first() -> None:
    recent = RecentRenditions(10)
    for data in (b"111111", b"222222"):
        recent.add("a", data)
    recent.add("b", b"3333")
    assert (recent.take("a"), recent.take("b")) == (b"222222", b"3333")


def test_rendition_unused_for_a_minute_is_evicted_with_the_next_one() -> None:
    clock = Clock()
    recent = RecentRenditions(10, clock)
    recent.add("a", b"1")
    clock.now_s = 61
    recent.add("b", b"2")
    assert (recent.take("a"), recent.take("b")) == (None, b"2")


@pytest.fixture
def store(s3_server: EmbeddedS3, request: pytest.FixtureRequest) -> ObjectStore:
    values: dict[str, Any] = {
        "endpoint_url": s3_server.endpoint_url,
        "access_key_id": s3_server.access_key_id,
        "secret_access_key": s3_server.secret_access_key,
        "region": "us-east-1",
        "photos_bucket": "recent-photos",
        "thumbnails_bucket": "recent-thumbnails",
    }
    store = ObjectStore(**values, recent=RecentRenditions(1000))
    store.ensure_buckets()
    return store


def test_source_returns_what_was_just_put_without_a_request_and_fetches_it_the_next_time(
    store: ObjectStore,
) -> None:
    claim = Claim(1, "token", "photo.jpg", "thumbnail.jpg", 1)
    store.put(ObjectKind.PHOTO, "photo.jpg", b"photo")
    store.put(ObjectKind.THUMBNAIL, "thumbnail.jpg", b"thumbnail")
    delete_object(store, ObjectKind.PHOTO, "photo.jpg")  # so that a request would fail
    source = S3ImageSource(store)
    assert source.get(claim, Rendition.PHOTO) == b"photo"
    with pytest.raises(ObjectMissing):
        source.get(claim, Rendition.PHOTO)
    assert [source.get(claim, Rendition.THUMBNAIL) for _ in range(2)] == [b"thumbnail"] * 2


def test_explanation_is_not_kept(store: ObjectStore) -> None:
    store.put(ObjectKind.EXPLANATION, "map.jpg", b"map")
    assert store.take_recent("map.jpg") is None
