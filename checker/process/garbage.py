"""Garbage collection during the start of a program.

The imports of a command make a quarter of a million objects, all of which stay. By default Python searches
all of them for garbage again and again, which takes an eighth of the time of the start.
"""

from __future__ import annotations

import gc

_FULL = 100
"""A full collection starts after 700 x 10 x ``_FULL`` new objects: more than a command with torch imports."""
_BEFORE = gc.get_threshold()


def postpone_full_collections() -> None:
    """Run full collections a tenth as often as by default; young garbage is collected as by default.

    Call this first in a program. At most 700 000 objects wait for a full collection.
    """
    gc.set_threshold(*_BEFORE[:2], _FULL)


def resume_full_collections() -> None:
    """Restore the default thresholds, once a program that runs for long has started."""
    gc.set_threshold(*_BEFORE)
