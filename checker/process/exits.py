"""The standard streams of commands, and how commands exit after Ctrl-C or if their output has no reader."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

INTERRUPTED, READER_GONE = 130, 141
"""Exit codes with which a shell reports SIGINT and SIGPIPE."""


def open_standard_descriptors() -> None:
    """Open /dev/null for each of the descriptors 0 to 2 that this process was started without (``2>&-``).

    Otherwise the next files and sockets get these numbers, and libraries and children print into them.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def open_standard_streams() -> None:
    """Open the standard descriptors and ``sys.stderr``, without which progress bars fail.

    A closed ``sys.stdout`` stays None, so that a command can refuse to work. Characters that the encoding of
    the output lacks are escaped, as in file names that are not UTF-8.
    """
    open_standard_descriptors()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Write what stdout still accepts and drop the rest, or Python would fail to write it at exit."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # closed by the calling process
        sys.stdout.flush()
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def ending_without_reader() -> Iterator[None]:
    """Exit with ``READER_GONE`` when the reader of the output is gone; click would exit with 1."""
    try:
        yield
    except BrokenPipeError:
        drop_output()
        raise SystemExit(READER_GONE) from None
