"""Create or update the tables; translate Alembic's errors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    text,
)
from sqlalchemy.exc import DatabaseError

from catloader.errors import DatabaseUnusable, StartupError
from catloader.store.db.engine import database_name, reading, writing
from catloader.store.db.postgresql import missing_right, refuse_other_encodings
from catloader.store.db.schema import check_log, metadata
from catloader.store.db.time_limits import lift_time_limits

if TYPE_CHECKING:
    from alembic.config import Config

logger = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x0CA7_10AD
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's table of versions, as Alembic would make it."""
_VACUUM_OFTEN = (
    "ALTER TABLE images SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000, "
    "autovacuum_analyze_scale_factor = 0.02)"
)
"""The same as in migration 0011, which gives the reason."""


def migrate(engine: Engine, *, may_create: bool = True) -> bool:
    """Bring the tables up to date; safe to run in several processes at once.

    Args:
        may_create: create the tables if the database is empty.
    Returns:
        True if the database was empty.
    Raises:
        StoreUnavailable: the database does not answer.
        StartupError: the database is damaged, belongs to a newer version or to another program, can't store
            every character, or is empty without ``may_create``.
    """
    try:
        return _upgrade(engine, may_create=may_create)
    except DatabaseUnusable as error:
        raise StartupError(str(error)) from error
    except DatabaseError as error:
        raise _unusable(engine, error) from error


def refuse_read_only(engine: Engine) -> None:
    """Check that an SQLite file can be written, with an update of no row.

    Beginning a transaction proves nothing: it succeeds on a read-only file.

    Raises:
        StoreUnavailable: the file may only be read.
    """
    if engine.dialect.name == "sqlite":
        with writing(engine) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = version_num WHERE 0"))


def _unusable(engine: Engine, error: DatabaseError) -> StartupError:
    reason = " ".join(str(error.orig).split()).rstrip(".")
    if reason.startswith("invalid connection option"):
        return StartupError(f"The address {database_name(engine)} is wrong: {reason}.")
    return StartupError(f"The database {database_name(engine)} is broken: {reason}.")


def revisions(engine: Engine) -> tuple[str | None, str | None]:
    """Return the revision of the tables, None if there are none, and the newest one.

    Raises:
        StoreUnavailable: the database does not answer.
        StartupError: the database is damaged, or can't store every character.
    """
    from alembic.script import ScriptDirectory

    try:
        with reading(engine) as connection:
            refuse_other_encodings(connection)
            current = _current_revision(connection)
    except DatabaseUnusable as error:
        raise StartupError(str(error)) from error
    except DatabaseError as error:
        raise _unusable(engine, error) from error
    return current, ScriptDirectory.from_config(_config()).get_current_head()


def _current_revision(connection: Connection) -> str | None:
    from alembic.runtime.migration import MigrationContext

    heads = MigrationContext.configure(connection).get_current_heads()
    if len(heads) > 1 or "" in heads:  # Alembic would fail with a traceback
        raise StartupError(
            f"The database {database_name(connection.engine)} is broken: its table alembic_version names no "
            "single revision; restore a backup."
        )
    return heads[0] if heads else None


def known_revisions() -> set[str]:
    """Return every revision that this version can upgrade."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _newest() -> str:
    """Return the revision of ``schema.py``: that of the newest migration, whose file name begins with it."""
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _upgrade(engine: Engine, *, may_create: bool) -> bool:
    # One transaction holds the lock throughout, so a second process finds nothing left to do.
    with writing(engine) as connection:
        lift_time_limits(connection)
        refuse_other_encodings(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        if is_empty := not inspect(connection).get_table_names():
            if not may_create:
                raise no_site(database_name(engine))
            if lack := missing_right(connection):
                raise StartupError(f"The database {database_name(engine)} is empty. {lack}")
            _create_tables(connection)
        elif not _is_newest(connection):
            _refuse_other_programs(connection)
            _run_migrations(connection)
    return is_empty


def no_site(database: object) -> StartupError:
    """Return the error of a command that needs a site but finds an empty database."""
    return StartupError(
        f"There is no site in the database {database}: set CATLOADER_DATA_DIR or DATABASE_URL as for the "
        "site; `catloader serve` makes a new site."
    )


def _create_tables(connection: Connection) -> None:
    """Make the tables of an empty database; the migrations make the same ones and take ten times as long."""
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "postgresql":
        connection.execute(text(_VACUUM_OFTEN))
    _VERSION.create(connection, checkfirst=False)
    connection.execute(insert(_VERSION).values(version_num=_newest()))


def _is_newest(connection: Connection) -> bool:
    """Check the revision without Alembic, whose import would take most of the time of this check."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return revisions == [_newest()]


def _refuse_other_programs(connection: Connection) -> None:
    tables = inspect(connection).get_table_names()
    if _VERSION.name in tables:
        revision = _current_revision(connection)
        if revision is None or revision.isdecimal():  # like all of CatLoader's; Alembic's defaults are not
            return
        proof = f"revision {revision} in its table {_VERSION.name}"
    else:
        same_names = sorted(metadata.tables.keys() & tables)
        if not same_names or check_log.name in tables:  # CatLoader's tables, without that of versions
            return
        proof = f"table {same_names[0]}, but no {_VERSION.name}"
    raise StartupError(
        f"The database {database_name(connection.engine)} belongs to another program (it has the {proof}): "
        "CatLoader needs a separate database."
    )


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.util import CommandError

    if (current := _current_revision(connection)) in known_revisions():
        logger.info(
            "The tables of %s are migrated from revision %s to %s, which takes long if they are large.",
            database_name(connection.engine),
            current,
            _newest(),
        )
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:  # there is no such migration here
        raise StartupError(
            f"The database {database_name(connection.engine)} was made by a newer version of CatLoader: "
            "start that version, or restore a backup of this one into an empty database."
        ) from error
