"""Garbage collection during the start of a program.

The imports of a command make a quarter of a million objects, which all stay. By default Python looks through
all of them again and again meanwhile, an eighth of the time of the start.
"""

from __future__ import annotations

import gc

_FULL = 100
"""A full collection starts after 700 x 10 x ``_FULL`` new objects: more than a command with torch imports."""
_BEFORE = gc.get_threshold()


def postpone_full_collections() -> None:
    """Run full collections 10 times as rarely as by default; young garbage is collected as by default.

    For the first line of a program. At most 700 000 objects wait for a full collection.
    """
    gc.set_threshold(*_BEFORE[:2], _FULL)


def resume_full_collections() -> None:
    """Collect as before: for a program that runs for long, once it has started."""
    gc.set_threshold(*_BEFORE)
