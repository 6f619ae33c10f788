"""Limits of this process (``ulimit``) that are too low for a start, which would fail inside a library."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from typing import NamedTuple


class _Limit(NamedTuple):
    kind: int
    least: int
    """Needed for a start, in units."""
    unit: int
    allows: str
    places: str


MEMORY = _Limit(
    resource.RLIMIT_AS, 1024, 2**20, "use {} MiB of address space", "`ulimit -v`, LimitAS of systemd"
)
"""The libraries of the model take 0.5 GiB."""
EVERY = (
    _Limit(
        resource.RLIMIT_NOFILE,
        256,
        1,
        "open {} files",
        "`ulimit -n`, LimitNOFILE of systemd, --ulimit nofile of Docker",
    ),
    _Limit(
        resource.RLIMIT_NPROC, 64, 1, "have {} processes and threads", "`ulimit -u`, LimitNPROC of systemd"
    ),
    MEMORY,
)
"""Of a site. The embedded S3 alone opens about 100 files."""


def low_limit(limits: Iterable[_Limit]) -> str:
    """Raise the limits to what a start needs; return a sentence on one that is too low, or an empty text."""
    for limit in limits:
        if limit.kind == resource.RLIMIT_NPROC and os.geteuid() == 0:  # root is not bound by it
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
