"""Limits of this process (``ulimit``) that are too low to start, and errors caused by limits later."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable
from typing import NamedTuple


class _Limit(NamedTuple):
    kind: int
    least: int
    """Lowest limit that is enough to start, in units."""
    unit: int
    allows: str
    places: str


_FILES = _Limit(
    resource.RLIMIT_NOFILE,
    256,
    1,
    "open {} files",
    "`ulimit -n`, LimitNOFILE of systemd, --ulimit nofile of Docker",
)
_THREADS = _Limit(
    resource.RLIMIT_NPROC, 64, 1, "have {} processes and threads", "`ulimit -u`, LimitNPROC of systemd"
)
_MEMORY = _Limit(
    resource.RLIMIT_AS, 1024, 2**20, "use {} MiB of address space", "`ulimit -v`, LimitAS of systemd"
)
EARLY = (_THREADS._replace(least=8), _MEMORY)
"""Limits that the imports of libraries need; the libraries of the model take 0.5 GiB."""
EVERY = (_FILES, _THREADS, _MEMORY)
"""Limits that a site needs. The embedded S3 alone opens about 100 files."""
SHORTAGE = (
    "The system allows no further thread: too little memory, or too many processes (`ulimit -v` and `-u`, "
    "TasksMax of systemd, --pids-limit of Docker)."
)
_NO_THREAD = "can't start new thread"
"""Text of Python's RuntimeError, for which there is no more specific class."""


def is_shortage(error: BaseException) -> bool:
    """Return True if the system refused memory, a thread or a process."""
    if isinstance(error, OSError):  # an output that would block raises EAGAIN with ``characters_written``
        return error.errno in (errno.EAGAIN, errno.ENOMEM) and not hasattr(error, "characters_written")
    return isinstance(error, MemoryError) or str(error) == _NO_THREAD


def low_limit(limits: Iterable[_Limit]) -> str:
    """Raise soft limits to the minimum; return a sentence on a hard limit that is too low, or ""."""
    for limit in limits:
        if limit.kind == resource.RLIMIT_NPROC and os.geteuid() == 0:  # it does not apply to root
            continue
        soft, hard = resource.getrlimit(limit.kind)
        least = limit.least * limit.unit
        if hard != resource.RLIM_INFINITY and hard < least:
            return (
                f"This process may {limit.allows.format(hard // limit.unit)}, and at least {limit.least} are "
                f"needed; raise the limit ({limit.places})."
            )
        if soft != resource.RLIM_INFINITY and soft < least:
            resource.setrlimit(limit.kind, (least, hard))
    return ""
