"""Sites for the pipeline benchmark: each has its own database, and all share one object store."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from catloader.intake.new_file import new_file, put_file
from catloader.intake.prepare import Prepared
from catloader.settings import Settings, variables
from catloader.store.db.engine import utcnow
from catloader.store.db.migrate import migrate
from catloader.store.db.photos.photo_rows import NewPhoto
from catloader.store.db.testing import fill, temporary_database
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from catloader.wiring import Services, build
from checker.pipeline import LoadedModel
from checker.ports import Classifier
from checker.service import CheckerService
from checker.values import Rendition


class Stored(NamedTuple):
    """A photo whose objects are in the store."""

    new: NewPhoto
    renditions: dict[Rendition, bytes]


class Site(NamedTuple):
    """A site with its own database."""

    services: Services
    checker: CheckerService
    """It loads its model at the first ``drain``."""
    owner_id: int

    def add(self, photos: Iterable[Stored]) -> datetime:
        """Reserve and record the photos as an upload does; return the time before the first one."""
        began = utcnow()
        for photo in photos:
            new, now = replace(photo.new, owner_id=self.owner_id), utcnow()
            self.services.photos.reserve(new)
            self.services.photos.add(new, now)
        return began


class _Lent:
    """A classifier that ignores ``close``, so that several sites can share one model."""

    def __init__(self, classifier: Classifier) -> None:
        self.model_info, self.preprocessing = classifier.model_info, classifier.preprocessing
        self.run = classifier.run

    def close(self) -> None:
        """Do nothing; the owner of the model closes it."""


def lent(loaded: LoadedModel) -> LoadedModel:
    """Return the model for ``CheckerService``, protected from being closed by it."""
    return loaded._replace(classifier=_Lent(loaded.classifier))


@contextmanager
def open_site(
    settings: Settings, name: str, load: Callable[[], LoadedModel], *, rows: int = 0, pending: int = 0
) -> Iterator[Site]:
    """Open a site with a new database.

    Args:
        settings: must name an S3 server; ``database_url`` is a PostgreSQL server's, or empty for SQLite.
        load: loads the model at the first check.
        rows: number of photos without objects in the table; ``pending`` of them are unchecked.
    """
    with temporary_database(settings.database_url.get_secret_value(), settings.data_dir, name) as url:
        services = build(settings.with_changes(database_url=url), checker=False)
        checker = CheckerService(
            services.queue,
            S3ImageSource(services.objects),
            load,
            decode=services.decoders.decode,
            workers=settings.workers,
            batch_photos=settings.batch_photos,
            sweep_s=settings.sweep_s,
        )
        try:
            migrate(services.engine)
            owner = services.users.create("owner@example.org", "no password", utcnow())
            fill(url, owner.id, rows, pending)
            yield Site(services, checker, owner.id)
        finally:
            checker.close(timeout_s=1.0)
            services.close()


def store(objects: ObjectStore, prepared: Sequence[Prepared], count: int) -> list[Stored]:
    """Put ``count`` photos into the store, repeating the given photos as often as needed."""
    photos = []
    for photo in itertools.islice(itertools.cycle(prepared), count):
        file = new_file(photo)
        put_file(objects, file, photo)
        new = NewPhoto(owner_id=0, caption="", **asdict(file))
        photos.append(Stored(new, {Rendition.PHOTO: photo.photo, Rendition.THUMBNAIL: photo.thumbnail}))
    return photos


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Return settings for a new site in ``folder``, with the environment's values of the section Checking."""
    checking = {name for variable in variables() if variable.section == "Checking" for name in variable.names}
    environment = {name: value for name, value in os.environ.items() if name in checking}
    settings = Settings.from_environment(environment, data_dir=folder, dispatch="off", **changes)
    return settings.with_changes(workers=settings.checking_threads)
