"""The number of cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Count the cores of this process's affinity mask (containers and ``taskset`` narrow it)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
