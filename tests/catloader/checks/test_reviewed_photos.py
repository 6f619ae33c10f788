"""Photos that people reviewed, as calibration reads them from a real S3."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from catloader.checks.reviewed_photos import photo_name, reviewed_photos
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from checker.evaluation.photos import UnusablePhotos
from checker.values import Rendition
from tests.catloader.checks.conftest import CheckedSite


def test_a_reviewed_photo_is_read_unless_it_was_altered(site: CheckedSite) -> None:
    values = {"human_verdict": "cat", "human_verdict_at": utcnow()}
    with writing(site.engine) as connection:
        connection.execute(update(photos).where(photos.c.id.in_(site.ids[:2])).values(values))
    altered, whole = site.ids[:2]
    row = site.row(whole)
    data = site.objects.get(ObjectKind.PHOTO, row.photo_key)
    site.store_instead(altered, data, known=False)
    first, second = reviewed_photos(site.photos, site.objects)
    assert [one.name for one in (first, second)] == [photo_name(altered), photo_name(whole)]
    assert second.read() == {
        Rendition.PHOTO: data,
        Rendition.THUMBNAIL: site.objects.get(ObjectKind.THUMBNAIL, row.thumbnail_key),
    }
    with pytest.raises(UnusablePhotos, match=rf"^{first.name}: The photo store gave a photo that is not the"):
        first.read()
