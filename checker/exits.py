"""The standard streams of commands, and their end when interrupted or when nobody reads their output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

INTERRUPTED, READER_GONE = 130, 141
"""Exit codes, as a shell reports SIGINT and SIGPIPE."""


def open_standard_streams() -> None:
    """Open those that the calling process has closed, to nothing.

    Otherwise the next files and sockets get their numbers, and what libraries print is written there;
    progress bars fail without ``sys.stderr``. ``sys.stdout`` stays None: a command may refuse to work.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process


def drop_output() -> None:
    """Write what stdout still takes and drop the rest: Python flushes it at its end, and would complain."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # closed by the calling process
        sys.stdout.flush()
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def ending_without_reader() -> Iterator[None]:
    """End the command with its exit code when a reader of its output is gone; click would end it with 1."""
    try:
        yield
    except BrokenPipeError:
        drop_output()
        raise SystemExit(READER_GONE) from None
