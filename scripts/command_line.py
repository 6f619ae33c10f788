"""Command lines of the scripts: error messages, optional packages, numbers, files to write."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from catloader.errors import CatLoaderError
from checker.errors import CheckerError
from checker.process.exits import INTERRUPTED, READER_GONE, drop_output, open_standard_streams
from models.errors import ModelsError

COULD_NOT_RUN = 2
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})
"""Errors of a write to an open file; their exceptions have no file name."""
_P = ParamSpec("_P")


class CannotRun(Exception):
    """``str(error)`` is one plain sentence for the user of the script."""


def report_errors(main: Callable[_P, int]) -> Callable[_P, int]:
    """Print a known error as one line on stderr and exit with code 2; other errors keep their traceback.

    Ctrl-C prints one line and exits with code 130. If the reader of the output has closed it (``| head``),
    the script exits with code 141 and prints nothing. Closed standard streams are opened
    (``open_standard_streams``).
    """

    @functools.wraps(main)
    def reporting(*args: _P.args, **kwargs: _P.kwargs) -> int:
        name = Path(sys.argv[0]).stem
        open_standard_streams()
        try:
            code = main(*args, **kwargs)
            print(end="", flush=True)  # a closed reader raises BrokenPipeError here, not at exit
            return code
        except (CannotRun, CatLoaderError, CheckerError, ModelsError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return COULD_NOT_RUN
        except KeyboardInterrupt:
            print(f"{name}: stopped by Ctrl-C", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:
            drop_output()
            return READER_GONE
        except OSError as error:
            if error.filename is None and error.errno not in _DISK_ERRORS:
                raise
            place = "the output" if error.filename is None else error.filename
            drop_output()
            print(f"{name}: {place} cannot be read or written: {error.strerror}", file=sys.stderr)
            return COULD_NOT_RUN
        except click.ClickException as error:
            error.show()
            return COULD_NOT_RUN

    return reporting


def write_result(path: Path | None, result: object) -> None:
    """Write the file of ``--json`` and print its name; do nothing if ``path`` is None."""
    if path:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"written to {path}")


def require(*packages: str, file: str = "requirements-bench.txt") -> None:
    """Check that all of ``packages`` can be imported, without importing them.

    Raises:
        CannotRun: names the missing packages and the command that installs them.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotRun(f"not installed here: {', '.join(missing)}. This installs it: pip install -r {file}")


def number(kind: type[int | float], low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return a parser of an argument that must be a number from ``low`` to ``high``; NaN is refused."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high:
                return value
        whole = "whole " if kind is int else ""
        bounds = f"of at least {low}" if math.isinf(high) else f"between {low} and {high}"
        raise argparse.ArgumentTypeError(f"{text} is not a {whole}number {bounds}")

    return parse


def existing_folder(name: str) -> Path:
    """Parse an argument that names a folder.

    Raises:
        argparse.ArgumentTypeError: the folder does not exist.
    """
    path = Path(name)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {name}")
    return path


def existing_file(name: str) -> Path:
    """Parse an argument that names a file.

    Raises:
        argparse.ArgumentTypeError: the file does not exist.
    """
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return path


def new_file(name: str) -> Path:
    """Parse an argument that names a file to write; create its folder, so that errors appear before the work.

    Raises:
        argparse.ArgumentTypeError: the file cannot be written.
    """
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))  # resolve() raises RuntimeError for a link to itself
        is_new = not target.exists()
        with path.open("ab"):  # the only test of the permission that is reliable on every file system
            pass
        if is_new:
            target.unlink()  # not a link to it
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be written: {error.strerror}") from error
    return path


def result_file(start: str) -> Callable[[str], Path]:
    """Return a parser like ``new_file`` that refuses to replace a file of another kind.

    Args:
        start: start of every file that the script writes, in lower case.
    """

    def parse(name: str) -> Path:
        path = new_file(name)
        if path.is_file():
            with path.open("rb") as file:
                present = file.read(len(start)).lower()
            if present and present != start.encode():
                raise argparse.ArgumentTypeError(f"{name} is another file, and would be replaced")
        return path

    return parse
