"""Advice on sample size: the number of photos needed to tell two rates apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checker.evaluation.statistics import photos_to_tell

RATE, FROM_RATE = 0.005, 0.01
"""The two false positive rates to tell apart: the limit, and twice the limit."""


def advice(kinds: Mapping[str, Any]) -> str:
    """Return a sentence that says how many more photos of each kind are needed, from the kinds' rates."""
    enough = photos_to_tell(RATE, FROM_RATE)
    numbers = {
        kind: row["false_positive_rate"]["n"] for kind, row in kinds.items() if "false_positive_rate" in row
    }
    wanted = [f"{enough - n} more of {kind}" for kind, n in numbers.items() if n < enough]
    start = (
        f"To tell a false positive rate of {100 * RATE:g} % from {100 * FROM_RATE:g} % you need {enough} "
        "photos of a kind"
    )
    return f"{start}: {', '.join(wanted)}." if wanted else f"{start}; here are as many of each."
