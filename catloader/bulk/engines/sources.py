"""The photos of a plan: photos of the site, other objects in a bucket, or files."""

from __future__ import annotations

from catloader.bulk.engines.local import UnitPool
from catloader.bulk.inputs.objects import LooseFiles, LooseObjects
from catloader.bulk.kept.keep import Task
from catloader.bulk.kept.keeper import Keeper
from catloader.settings import Settings
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from checker.pipeline import LoadedModel
from checker.pixels.isolated import IsolatedDecoder
from checker.ports import ImageSource

TABLE = "table"
FILES = "file:"
"""Files by their paths, on every machine that checks; the folder that was listed follows, if there was one.

The name of a bucket has no colon."""


def source_of(
    settings: Settings, source: str, objects: ObjectStore, decode: IsolatedDecoder, task: Task | None
) -> ImageSource:
    """Return the source of a plan's photos; ``source`` is as in ``plan.Facts``."""
    if source == TABLE:
        return S3ImageSource(objects)
    if source.startswith(FILES):
        return LooseFiles(decode, source.removeprefix(FILES), fast=task is None)
    return LooseObjects(settings, source, decode, fast=task is None)


def make_pool(
    settings: Settings,
    source: ImageSource,
    decode: IsolatedDecoder,
    model: LoadedModel,
    task: Task | None,
) -> UnitPool:
    """Make the threads that run a plan, for ``settings.checking_threads`` workers.

    Raises:
        CheckerError: a photo that others are pasted into can't be read.
    """
    return UnitPool(
        source,
        decode,
        model,
        workers=settings.checking_threads,
        batch_photos=settings.batch_photos,
        keeper=Keeper(task, source, decode, model.classifier) if task else None,
    )
