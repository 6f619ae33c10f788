"""Photos that people reviewed, as calibration reads them from a real S3."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from catloader.bulk.inputs.labelled import reviewed
from catloader.checks.reviewed_photos import photo_name, reviewed_photos
from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from checker.evaluation.photos import UnusablePhotos
from checker.values import Rendition
from tests.catloader.checks.conftest import CheckedSite


def review(site: CheckedSite, ids: list[int], verdict: str) -> None:
    values = {"human_verdict": verdict, "human_verdict_at": utcnow()}
    with writing(site.engine) as connection:
        connection.execute(update(photos).where(photos.c.id.in_(ids)).values(values))


def test_a_reviewed_photo_is_read_unless_it_was_altered(site: CheckedSite) -> None:
    review(site, site.ids[:2], "cat")
    altered, whole = site.ids[:2]
    row = site.row(whole)
    data = site.objects.get(ObjectKind.PHOTO, row.photo_key)
    site.store_instead(altered, data, known=False)
    first, second = reviewed_photos(site.photos, site.objects)
    assert [photo.name for photo in (first, second)] == [photo_name(altered), photo_name(whole)]
    assert second.read() == {
        Rendition.PHOTO: data,
        Rendition.THUMBNAIL: site.objects.get(ObjectKind.THUMBNAIL, row.thumbnail_key),
    }
    with pytest.raises(UnusablePhotos, match=rf"^{first.name}: The photo store gave a photo that is not the"):
        first.read()


def test_a_photo_that_was_uploaded_twice_counts_once_and_not_under_two_verdicts(site: CheckedSite) -> None:
    first, again, other = site.ids[:3]
    site.store_instead(again, site.objects.get(ObjectKind.PHOTO, site.row(first).photo_key), known=True)
    review(site, [first, again, other], "cat")
    names = [photo_name(first), photo_name(other)]
    assert [photo.name for photo in reviewed_photos(site.photos, site.objects)] == names
    planned = [photo.labelled for photo in reviewed(BulkTable(site.engine))]
    assert [(one.row, one.name) for one in planned if one] == list(enumerate(names))
    review(site, [again], "not_cat")
    message = f"{photo_name(again)} is labelled not_cat, but {photo_name(first)}, which is the same file, is"
    with pytest.raises(UnusablePhotos, match=f"^{message} labelled cat$"):
        reviewed_photos(site.photos, site.objects)
    with pytest.raises(UnusablePhotos, match=f"^{message} labelled cat$"):
        list(reviewed(BulkTable(site.engine)))
