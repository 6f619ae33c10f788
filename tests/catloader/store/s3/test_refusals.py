from __future__ import annotations

import pytest

from catloader.errors import StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import S3ImageSource
from checker.errors import ObjectMissing, ObjectRefused
from checker.values import Rendition
from tests.support.fakes import claim_of
from tests.support.refusing_store import refusing_store


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
