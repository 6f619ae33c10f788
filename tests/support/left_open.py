"""Close connections that a library leaves to the garbage collector after a response that it can't parse."""

from __future__ import annotations

import gc
import warnings


def close_left_open() -> None:
    """Collect such connections now, so that no later test fails with a ``ResourceWarning``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
