"""Report buckets that another site may use: they have the same names by default, and ``gc`` compares both."""

from __future__ import annotations

import logging

from catloader.errors import StoreUnavailable
from catloader.orphans import is_key_of_a_site
from catloader.settings import Settings
from catloader.store.db.staff.administration import Administration
from catloader.wiring import build_engine, build_object_store

logger = logging.getLogger(__name__)


def report_shared_buckets(settings: Settings) -> None:
    """Log a warning if there are photos in a bucket of a site that has no accounts yet.

    Two sites on the same buckets seem to work, until ``gc`` deletes the objects that its own database does
    not name. The embedded object store belongs to one site.
    """
    if settings.embedded_s3 or _has_accounts(settings):
        return
    store = build_object_store(settings)
    for bucket in dict.fromkeys((store.photos_bucket, store.thumbnails_bucket)):
        try:
            first = next(store.pages(bucket), [])
        except StoreUnavailable:  # the right to list a bucket may be missing
            return
        if any(is_key_of_a_site(entry.key) for entry in first):
            logger.warning(
                "This site has no accounts, and the bucket %s has photos. If they belong to another site, "
                "`catloader gc --apply` would delete them: use other buckets (CATLOADER_PHOTOS_BUCKET, "
                "CATLOADER_THUMBNAILS_BUCKET).",
                bucket,
            )


def _has_accounts(settings: Settings) -> bool:
    engine = build_engine(settings)
    try:
        return bool(Administration(engine).page(0, 1))
    finally:
        engine.dispose()
