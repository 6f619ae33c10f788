from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from catloader.errors import StoreUnavailable
from catloader.store.db.engine import utcnow
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.errors import NoAnswer
from catloader.store.s3.listing import Listed
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.store.s3.refusals import refuses_one
from checker.errors import ObjectMissing, ObjectRefused
from checker.values import Rendition
from tests.support.fakes import claim_of
from tests.support.object_stores import store_at
from tests.support.refusing_store import LARGE, refusing_store


def test_one_refused_object_is_its_own_error_and_a_store_that_refuses_all_is_unavailable(
    s3_server: EmbeddedS3,
) -> None:
    with refusing_store(s3_server) as (store, refused):
        source, claim = S3ImageSource(store), claim_of(1)
        store.put(ObjectKind.PHOTO, claim.photo_key, b"photo")
        refused.add(claim.photo_key)
        with pytest.raises(
            StoreUnavailable, match="AccessDenied"
        ):  # there is no other object to compare with
            source.get(claim, Rendition.PHOTO)
        store.put(ObjectKind.THUMBNAIL, claim.thumbnail_key, b"thumbnail")
        with pytest.raises(ObjectRefused, match="AccessDenied"):
            source.get(claim, Rendition.PHOTO)
        refused.add(claim.thumbnail_key)
        for rendition in Rendition:
            with pytest.raises(StoreUnavailable):
                source.get(claim, rendition)
        with pytest.raises(ObjectMissing):
            source.get(claim_of(2), Rendition.PHOTO)


def test_an_object_that_is_too_large_is_its_own_error_even_beside_others(s3_server: EmbeddedS3) -> None:
    with refusing_store(s3_server) as (store, refused):
        source, claim = S3ImageSource(store), replace(claim_of(1), photo_key=f"1{LARGE}")
        for name in (claim.photo_key, f"2{LARGE}", f"3{LARGE}"):
            store.put(ObjectKind.PHOTO, name, b"photo")
        for _ in range(3):  # the store does not count as unavailable
            try:
                raise KeyError  # the context of an error that is raised while another one is handled
            except KeyError:
                with pytest.raises(ObjectRefused, match="sends too many bytes"):
                    source.get(claim, Rendition.PHOTO)
        refused.add("refused.jpg")
        store.put(ObjectKind.PHOTO, "refused.jpg", b"photo")
        with pytest.raises(ObjectRefused, match="AccessDenied"):
            source.get(replace(claim, photo_key="refused.jpg"), Rendition.PHOTO)


_AWAY = NoAnswer("The object store did not answer.")
_REFUSED = StoreUnavailable("The object store refused it.")


class _Listed(ObjectStore):
    """Lists one object in each bucket, and gives it or raises an error: kind -> (key, error)."""

    listed: Mapping[ObjectKind, tuple[str, StoreUnavailable | None]] | None

    def pages(self, bucket: str, *_: Any, **__: Any) -> Iterator[list[Listed]]:
        if self.listed is None:
            raise _REFUSED
        kind = ObjectKind.PHOTO if bucket == self.photos_bucket else ObjectKind.THUMBNAIL
        yield [Listed(self.listed[kind][0], utcnow(), 1)]

    def open(self, kind: ObjectKind, key: str) -> tuple[Generator[bytes, None, None], int]:
        assert self.listed
        if (error := self.listed[kind][1]) is not None:
            raise error
        return (data for data in [b"x"]), 1


@pytest.mark.parametrize(
    ("error", "photo", "thumbnail", "is_one"),
    [
        (_REFUSED, ("other", _REFUSED), ("thumbnail", None), True),
        (_REFUSED, ("other", _REFUSED), ("thumbnail", _REFUSED), False),
        (_AWAY, ("other", None), ("thumbnail", None), False),
        (_REFUSED, ("other", _AWAY), ("thumbnail", None), False),  # it has stopped to answer meanwhile
        (
            _REFUSED,
            ("refused", None),
            ("thumbnail", _REFUSED),
            False,
        ),  # served now, so the refusal did not last
    ],
)
def test_an_object_is_refused_alone_only_if_the_store_answers_and_gives_others(
    error: StoreUnavailable,
    photo: tuple[str, StoreUnavailable | None],
    thumbnail: tuple[str, StoreUnavailable | None],
    is_one: bool,
) -> None:
    store = store_at("http://127.0.0.1:1", kind=_Listed)
    assert isinstance(store, _Listed)
    store.listed = {ObjectKind.PHOTO: photo, ObjectKind.THUMBNAIL: thumbnail}
    assert refuses_one(store, "refused", error) == is_one
    store.listed = None  # the site has no right to list
    assert not refuses_one(store, "refused", error)
