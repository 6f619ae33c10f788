"""Report an object store without the photos of the database: its address or buckets are probably wrong."""

from __future__ import annotations

import logging

from catloader.errors import StoreUnavailable
from catloader.settings import Settings
from catloader.store.db.object_names import ObjectNames
from catloader.wiring import build_engine, build_object_store

logger = logging.getLogger(__name__)

_NEWEST = 3
"""Photos that are looked for. A single one may be lost, or be replaced at this moment."""


def report_missing_photos(settings: Settings) -> None:
    """Log a warning if the object store has none of the newest photos.

    Missing buckets are made, so a site with a wrong name of a bucket would start without an error, show no
    photo, and store new photos in the wrong place.
    """
    engine, store = build_engine(settings), build_object_store(settings)
    try:
        newest = ObjectNames(engine).newest(_NEWEST)
        if newest and not any(store.exists(*stored) for stored in newest):
            logger.warning(
                "The bucket %s of %s has none of the newest photos of this site. If they are elsewhere, "
                "correct AWS_ENDPOINT_URL_S3, CATLOADER_PHOTOS_BUCKET or CATLOADER_DATA_DIR before people "
                "upload more; `catloader gc` lists the missing photos.",
                store.photos_bucket,
                store.address,
            )
    except StoreUnavailable:  # requests will report it
        return
    finally:
        engine.dispose()
