"""The photos of a plan: the site's own, or loose objects of a bucket."""

from __future__ import annotations

from catloader.bulk.objects import LooseObjects
from catloader.settings import Settings
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from checker.pixels.isolated import IsolatedDecoder
from checker.ports import ImageSource

TABLE = "table"


def source_of(settings: Settings, source: str, objects: ObjectStore, decode: IsolatedDecoder) -> ImageSource:
    """Return what the photos of a plan come from; ``source`` as in ``plan.Facts``."""
    return S3ImageSource(objects) if source == TABLE else LooseObjects(settings, source, decode)
