"""Photos in a bucket that the site does not manage: listed once, with renditions made while reading."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from catloader.bulk.manifest import PlannedPhoto
from catloader.settings import Settings
from catloader.store.kinds import ObjectKind
from catloader.store.s3.refusals import for_checker
from catloader.wiring import build_object_store
from checker.pixels.isolated import IsolatedDecoder
from checker.values import Claim, Rendition

_LISTING_THREADS = 16
"""A listing waits for the server nearly all the time."""


def listed(settings: Settings, bucket: str, prefix: str) -> Iterator[PlannedPhoto]:
    """Yield the objects of a bucket whose keys begin with ``prefix``, numbered from 1 as they come."""
    number = 0
    for page in build_object_store(settings).pages(bucket, prefix, threads=_LISTING_THREADS):
        for entry in page:
            if not entry.key.endswith("/"):  # a folder marker, as some programs create it
                number += 1
                yield PlannedPhoto(number, entry.key, "", None, None, entry.size_bytes, None, None, None)


class LooseObjects:
    """Implements ``checker.ports.ImageSource``: makes both renditions of a file, as the site stores them."""

    def __init__(self, settings: Settings, bucket: str, decode: IsolatedDecoder) -> None:
        self._objects = build_object_store(settings.with_changes(s3_photos_bucket=bucket))
        self._decode = decode
        self._last = threading.local()
        """Both renditions of a photo are requested one after the other by the same thread."""

    def get(self, claim: Claim, rendition: Rendition) -> bytes:
        if getattr(self._last, "key", None) != claim.photo_key:
            with for_checker(self._objects, claim.photo_key, "photo"):
                data = self._objects.get(ObjectKind.PHOTO, claim.photo_key)
            self._last.key, self._last.renditions = None, {}
            self._last.renditions = self._decode.renditions(data)
            self._last.key = claim.photo_key
        renditions: dict[Rendition, bytes] = self._last.renditions
        return renditions[rendition]
