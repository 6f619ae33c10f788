"""Compare this machine's clock with the clock of a server."""

from __future__ import annotations

from datetime import datetime

from catloader.doctor.rows import Row

MOST_APART_S = 60.0
"""Leases, sessions and signatures compare times of several machines; S3 refuses a difference over 15 min."""


def clock_row(part: str, own_time: datetime, other_time: datetime) -> Row:
    ahead_s = (own_time - other_time).total_seconds()
    if abs(ahead_s) <= MOST_APART_S:
        return Row(part, "ok", f"The clocks are {abs(ahead_s):.1f} s apart.")
    side = "ahead of" if ahead_s > 0 else "behind"
    return Row(
        part,
        "failed",
        f"This machine's clock is {abs(ahead_s):.0f} s {side} the other clock; set both by NTP.",
    )
