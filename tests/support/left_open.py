"""Connections that a library leaves to the garbage collector after an answer that it can't read."""

from __future__ import annotations

import gc
import warnings


def close_left_open() -> None:
    """Collect them now, so that no later test fails with a ``ResourceWarning``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
