"""Photos that people reviewed on the site, as labelled photos for calibration."""

from __future__ import annotations

from collections.abc import Mapping

from catloader.checks.past_photos import claim_on
from catloader.store.db.photos.photos import Photos
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from checker.evaluation.photos import Copies, LabelledPhoto, naming
from checker.pipeline import fetch
from checker.ports import ImageSource
from checker.values import Claim, Rendition

DATABASE = "database"
"""The name of these photos on a command line."""


def reviewed_photos(photos: Photos, objects: ObjectStore) -> list[LabelledPhoto]:
    """Return the reviewed photos, labelled with people's verdicts; reading a photo fetches it from the store.

    A photo that was uploaded several times counts once.

    Raises:
        UnusablePhotos: copies of a photo have different verdicts.
    """
    source, copies = S3ImageSource(objects), Copies()
    labelled = []
    for row in photos.reviewed():
        photo = stored_photo(claim_on(row), row.human_verdict or "", source)
        if not copies.is_copy(photo, row.photo_sha256 or photo.name):
            labelled.append(photo)
    return labelled


def stored_photo(claim: Claim, label: str, source: ImageSource) -> LabelledPhoto:
    """Return a photo of the site with this label."""
    name = photo_name(claim.photo_id)

    def renditions() -> Mapping[Rendition, bytes]:
        with naming(name):
            (item,) = fetch([claim], source)
            if item.error is not None:
                raise item.error
            return item.renditions

    return LabelledPhoto(name, label, renditions)


def photo_name(id: int) -> str:
    """Return the name of a reviewed photo; names are in the order of the ids."""
    return f"photo-{id:012d}"
