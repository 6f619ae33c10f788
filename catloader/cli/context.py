"""The settings of a command, which are read once, at their first use, and the services of a site."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from catloader.errors import StartupError
from catloader.logs import configure, printed
from catloader.settings import Settings
from checker.process.low_limits import EARLY, low_limit

if TYPE_CHECKING:
    from catloader.wiring import Services

P = ParamSpec("P")
R = TypeVar("R")


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Pass the settings to a command as its first argument.

    They are read when the command runs and not earlier, because ``--help`` must work with a wrong setting.

    Raises:
        StartupError: the limits of this process are too low to import the command's libraries.
    """

    @functools.wraps(command)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
        root = click.get_current_context().find_root()
        if sentence := low_limit(EARLY):
            raise StartupError(sentence)
        if root.obj is None:
            root.obj = Settings.from_environment()
        return command(root.obj, *args, **kwargs)

    return with_settings


def say_first(settings: Settings, line: str) -> None:
    """Set up the log, and print the first line of a long-running command, whose imports take seconds."""
    configure(settings.log_format)
    with suppress(OSError):  # a log on a full disk does not prevent the start
        click.echo(printed(line))


@contextmanager
def services_of(settings: Settings, *, may_create: bool = False) -> Iterator[Services]:
    """Build the services of a site without a checker, and close them at the end; the site may be running.

    The database is migrated. The embedded object store runs during the block.

    Args:
        may_create: as for ``migrated_database``.
    """
    from catloader.server.data_dir import prepare_data_dir
    from catloader.server.database import migrate_database, refuse_missing_database
    from catloader.server.object_store import shared_or_own_object_store
    from catloader.wiring import build

    if not may_create:
        refuse_missing_database(settings)
    # A disk that is too full for uploads must not prevent commands such as `gc`, which frees space.
    prepare_data_dir(settings.with_changes(min_free_bytes=0))
    with shared_or_own_object_store(settings) as with_s3:
        migrate_database(settings, may_create=may_create)
        services = build(with_s3, checker=False)
        try:
            yield services
        finally:
            services.close()
