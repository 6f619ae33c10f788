"""Create or update the tables; translate what Alembic and the database answer."""

from __future__ import annotations

from pathlib import Path

from alembic.util import CommandError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError

from catloader.errors import StartupError, StoreUnavailable
from catloader.store.db.engine import writing

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x0CA7_10AD


def migrate(engine: Engine) -> None:
    """Bring the tables up to date. Safe to run in several processes at once.

    Raises:
        StartupError: the database does not answer, is damaged, or belongs to a newer version.
    """
    name = engine.url.render_as_string(hide_password=True)
    try:
        _upgrade(engine)
    except StoreUnavailable as error:
        raise no_answer(engine, error) from error
    except DatabaseError as error:
        raise StartupError(f"The database {name} is broken: {_root_cause(error)}.") from error
    except CommandError as error:
        raise StartupError(f"The database {name} was made by another version: {error}.") from error


def no_answer(engine: Engine, error: StoreUnavailable) -> StartupError:
    """Describe for an operator which database, without its password, and the driver's own error."""
    name = engine.url.render_as_string(hide_password=True)
    return StartupError(f"The database {name} does not answer: {_root_cause(error)}.")


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    # One transaction holds the lock throughout, so the second process finds nothing left to do.
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _root_cause(error: BaseException) -> str:
    """Return the innermost error's text on one line: the driver's own words."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".")
