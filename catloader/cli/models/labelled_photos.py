"""Labelled photos of the argument DATA: a folder, a file, or the site's database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from catloader.checks.reviewed_photos import DATABASE, reviewed_photos
from catloader.cli.context import services_of
from catloader.settings import Settings
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import (
    LabelledPhoto,
    UnusablePhotos,
    both_labels,
    decoded_apart,
    distinct_photos,
)


@contextmanager
def open_photos(
    data: str, settings: Settings, cat_classes: Iterable[str] = ()
) -> Iterator[list[LabelledPhoto]]:
    """Yield the photos of a folder or file, or of the site if ``data`` is ``database``, sorted by name.

    Copies of the same file count once. Read the photos inside the block: files are decoded in a child
    process with limits, and for ``database`` the embedded object store runs only during the block.

    Args:
        cat_classes: as for ``labelled_photos``.

    Raises:
        UnusablePhotos: there are no photos, or they can't be used.
        StartupError, StoreUnavailable: the database or the object store is unavailable.
    """
    if data.startswith("s3://"):
        raise UnusablePhotos(
            f"{data} is not on this machine: plan it with `catloader bulk plan NAME --labelled {data}`, "
            "run the plan, and give --from-run NAME"
        )
    if data == DATABASE and (classes := sorted(filter(None, cat_classes))):
        raise UnusablePhotos(f"{data} has people's verdicts and no class {classes[0]}, as --cat-classes says")
    if data != DATABASE:
        with decoded_apart(distinct_photos(labelled_photos(Path(data), cat_classes))) as photos:
            yield photos
        return
    with services_of(settings) as services:
        yield both_labels(reviewed_photos(services.photos, services.objects), data)
