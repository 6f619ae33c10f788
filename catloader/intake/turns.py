"""Turns for large photos among the decoding processes, because together they would take too much memory."""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from catloader.errors import UploadsBusy
from catloader.intake.places import BUSY

_POLL_S = 0.02
LARGE_PIXELS = 12_500_000
"""Photos of most phones are smaller; above this size decoding takes 50 MB to 1 GB."""

# Made at import, and inherited by the children that are forked later. The file stays empty: a turn is a lock
# on one byte after its end, held by a process, not by a descriptor.
if sys.platform == "linux":
    _FILE = os.memfd_create("catloader-turns")  # needs no writable folder
else:
    with tempfile.TemporaryFile() as _file:
        _FILE = os.dup(_file.fileno())


@contextmanager
def turn(pixels: int, at_once: int, patience_s: float) -> Iterator[None]:
    """If this photo is large, wait until fewer than ``at_once`` other processes decode a large photo.

    The kernel releases the turn of a process that dies. Threads of one process do not wait for each other.

    Raises:
        UploadsBusy: no turn within ``patience_s``. The wait is limited because it counts as decoding time.
    """
    if pixels <= LARGE_PIXELS:
        yield
        return
    place = _taken(at_once, time.monotonic() + patience_s)
    try:
        yield
    finally:
        fcntl.lockf(_FILE, fcntl.LOCK_UN, 1, place)


def _taken(places: int, deadline_s: float) -> int:
    while True:
        for place in range(places):
            try:
                fcntl.lockf(_FILE, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:  # another process has this turn
                continue
            return place
        if time.monotonic() >= deadline_s:
            raise UploadsBusy(BUSY)
        time.sleep(_POLL_S)
