"""Progress of long measurements, on stderr: a bar on a terminal, a line in a log."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, description: str, unit: str) -> tqdm[Any]:
    """Return a bar to use as a context manager; its ``update`` takes the number of finished ``unit``."""
    if not sys.stderr.isatty():
        note(f"{description}: {total} {unit}")
    return tqdm(total=total, desc=description, unit=f" {unit}", dynamic_ncols=True, disable=None)


def note(line: str) -> None:
    """Write a line to stderr, above the bar if there is one."""
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()
