"""The number of cores that this process may use."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path

_CONTROL_GROUPS, _PROCESS_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_cores() -> int:
    """Count the cores of this process's affinity mask, or of its quota of processor time if that is lower.

    ``taskset`` and cpusets narrow the mask; Docker's ``--cpus``, Kubernetes' limits and systemd's
    ``CPUQuota`` are quotas.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return min(cores, quota_in_cores() or cores)


@functools.cache
def quota_in_cores(groups: Path = _CONTROL_GROUPS, process_groups: Path = _PROCESS_GROUPS) -> int | None:
    """Return the lowest quota of this process's control groups, rounded up; None if there is none.

    Args:
        groups: folder in which the control groups are mounted.
        process_groups: file that lists this process's groups.
    """
    quota = min(_quotas(groups, process_groups), default=None)
    return None if quota is None else max(1, math.ceil(quota))


def _quotas(groups: Path, process_groups: Path) -> Iterator[float]:
    """Yield the quotas of the process's groups and of their parent groups, in cores."""
    lines = []
    with contextlib.suppress(OSError):  # not Linux
        lines = process_groups.read_text(errors="replace").splitlines()
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers or "cpu" in controllers.split(","):  # version 2 names no controllers
            top = groups / controllers
            group = top / path.lstrip("/")
            for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
                yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):  # version 2, version 1
        with contextlib.suppress(OSError, ValueError):  # no such file; "max" is not a number
            quota, period = (int(number) for file in files for number in (folder / file).read_text().split())
            if quota > 0 and period > 0:  # -1: no limit
                yield quota / period
