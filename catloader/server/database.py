"""The database of a command: migrate it first, close its connections at the end."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from catloader.errors import StoreUnavailable
from catloader.server.data_dir import prepare_data_dir
from catloader.settings import Settings
from catloader.store.db.engine import Engine, database_name
from catloader.store.db.migrate import migrate, no_site, refuse_read_only
from catloader.store.db.sqlite import file_of
from catloader.store.db.staff.administration import Administration
from catloader.wiring import build_engine
from checker.log_limit import LogLimit

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


@contextlib.contextmanager
def migrated_database(
    settings: Settings, *, may_create: bool = False, level: int = logging.WARNING
) -> Iterator[Engine]:
    """Prepare the data folder, bring the tables up to date, yield the engine.

    Args:
        may_create: make a database that does not exist, and log it. Most commands are for an existing site:
            in a wrong folder they would make an empty database, and list or back up nothing.
        level: log level of the line about a new database.

    Raises:
        StartupError: the data folder cannot be used, or the database does not answer, is damaged, belongs to
            a newer version, or does not exist.
    """
    if not may_create:
        refuse_missing_database(settings)
    # A disk that is too full for uploads must not prevent commands, some of which free space.
    prepare_data_dir(settings.with_changes(min_free_bytes=0))
    engine = build_engine(settings)
    try:
        if migrate(engine, may_create=may_create):
            logger.log(level, "A new database was made: %s.", database_name(engine))
        yield engine
    finally:
        engine.dispose()


def refuse_missing_database(settings: Settings) -> None:
    """Check that the database's file exists, before other files are made next to it.

    Raises:
        StartupError: the file does not exist.
    """
    if (file := file_of(settings.database)) and not file.exists():
        raise no_site(file.absolute())


def migrate_database(settings: Settings, *, may_create: bool = True, must_write: bool = False) -> None:
    """Bring the tables up to date; leave no connection open.

    Args:
        may_create: as for ``migrated_database``.
        must_write: also refuse a read-only file.
    """
    level = logging.DEBUG if must_write else logging.WARNING  # the first start of a site makes its database
    with migrated_database(settings, may_create=may_create, level=level) as engine:
        if must_write:
            refuse_read_only(engine)
        other = settings.data_dir / "catloader.sqlite3"
        if (
            settings.database_url.get_secret_value()
            and other.exists()
            and not Administration(engine).page(0, 1)
        ):
            logger.warning(
                "The database that DATABASE_URL names has no accounts; the accounts in %s were not moved. "
                "`catloader backup` and `catloader restore` move a site.",
                other,
            )


def wait_for_migrated_database(settings: Settings) -> None:
    """Bring the tables up to date for a checker, which waits until the database answers.

    Raises:
        StartupError: as ``migrated_database``, except if the database does not answer.
    """
    limit = LogLimit()
    while True:
        try:
            migrate_database(settings, must_write=True)
        except StoreUnavailable as error:
            if (suffix := limit.suffix()) is not None:
                logger.warning("%s Waiting for it; photos wait meanwhile.%s", error, suffix)
            time.sleep(_RETRY_S)
        else:
            return
