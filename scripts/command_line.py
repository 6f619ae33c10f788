"""Command lines of the scripts: error messages, optional packages, files to write."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from catloader.errors import CatLoaderError
from checker.errors import CheckerError
from models.errors import ModelsError

COULD_NOT_RUN = 2
_P = ParamSpec("_P")


class CannotRun(Exception):
    """``str(error)`` is one plain sentence for the user of the script."""


def report_errors(main: Callable[_P, int]) -> Callable[_P, int]:
    """Print a known error as one line on stderr and exit with code 2; other errors keep their traceback."""

    @functools.wraps(main)
    def reporting(*args: _P.args, **kwargs: _P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except (CannotRun, CatLoaderError, CheckerError, ModelsError) as error:
            print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
            return COULD_NOT_RUN
        except click.ClickException as error:
            error.show()
            return COULD_NOT_RUN

    return reporting


def require(*packages: str, file: str = "requirements-bench.txt") -> None:
    """Check that all of ``packages`` can be imported, without importing them.

    Raises:
        CannotRun: names the missing ones and the command that installs them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotRun(f"not installed here: {', '.join(missing)}. This installs it: pip install -r {file}")


def new_file(name: str) -> Path:
    """Parse an argument that names a file to write, and make its folder before the work begins.

    Raises:
        argparse.ArgumentTypeError: the file cannot be written.
    """
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be written: {error.strerror}") from error
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{name} cannot be written")
    return path
