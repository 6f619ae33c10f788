"""The end of commands that are interrupted, or whose output nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import sys

INTERRUPTED, READER_GONE = 130, 141
"""Exit codes, as a shell reports SIGINT and SIGPIPE."""


def drop_output() -> None:
    """Write what stdout still takes and drop the rest: Python flushes it at its end, and would complain."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # closed by the calling process
        sys.stdout.flush()
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
