"""The database of a command: tables up to date, connections closed at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from catloader.server.data_dir import prepare_data_dir
from catloader.settings import Settings
from catloader.store.db.engine import Engine
from catloader.store.db.migrate import migrate
from catloader.wiring import build_engine


@contextlib.contextmanager
def migrated_database(settings: Settings) -> Iterator[Engine]:
    """Prepare the data folder, bring the tables up to date, yield the engine.

    Raises:
        StartupError: the data folder cannot be used; the database does not answer, is damaged, or belongs to
            a newer version.
    """
    prepare_data_dir(settings)
    engine = build_engine(settings)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


def migrate_database(settings: Settings) -> None:
    """Bring the tables up to date; leave no connection open."""
    with migrated_database(settings):
        pass
