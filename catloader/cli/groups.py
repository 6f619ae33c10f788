"""Groups whose commands are imported when they run: ``catloader --version`` imports no database library."""

from __future__ import annotations

import contextlib
import errno
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import click

from catloader.errors import CatLoaderError
from checker.errors import CheckerError
from checker.process.exits import INTERRUPTED, ending_without_reader
from checker.process.low_limits import SHORTAGE, is_shortage
from models.errors import ModelsError

_UNUSABLE = (
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
"""Errors of paths, which come from the command line or the settings."""


class Group(click.Group):
    """A group of commands, some of which are in modules that are imported on demand.

    Args:
        elsewhere: command -> ``module:function`` in ``catloader.cli``.
    """

    def __init__(self, *args: Any, elsewhere: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._elsewhere = dict(elsewhere or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._elsewhere, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, function = self._elsewhere[cmd_name].partition(":")
        command = getattr(importlib.import_module(f"catloader.cli.{module}"), function)
        assert isinstance(command, click.Command)
        return command


class OneLineErrors(Group):
    """Show expected errors, a full disk and an unusable path in one line, with exit code 1.

    Ctrl-C prints a line and exits with code 130. If the reader of the output ends (``| head``), the command
    exits silently with code 141. A bug keeps its traceback.
    """

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _one_line_errors():  # this prints the help and the version
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        with ending_without_reader():
            yield
    except (CatLoaderError, CheckerError, ModelsError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Stopped by Ctrl-C.", err=True)
        raise SystemExit(INTERRUPTED) from None
    except (OSError, RuntimeError, MemoryError) as error:
        if is_shortage(error):
            raise click.ClickException(SHORTAGE) from error
        if not isinstance(error, OSError):
            raise
        if error.errno in _UNUSABLE and error.filename:
            raise click.ClickException(f"{error.filename} can't be used: {error.strerror}.") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # EFBIG: `ulimit -f`
            raise
        target = error.filename or "The output"
        raise click.ClickException(f"{target} can't be written: {error.strerror}.") from error
