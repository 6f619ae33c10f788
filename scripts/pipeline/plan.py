"""Extent of one run of the pipeline benchmark; this module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CLAIMED = 4
"""Number of photos that are claimed and finished together in part B."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers of rounds and photos, and sizes of the tables."""

    rounds: int = 7
    photos: int = 400
    """Number of photos in one turn."""
    rows: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
    cycles: int = 200
    """Number of times that ``CLAIMED`` photos are claimed and finished, for each table size."""
    folder: Path | None = None
    """Folder of real photos for part A."""

    @property
    def pending(self) -> int:
        """Number of photos that part B claims and finishes; every table must have at least as many rows."""
        return CLAIMED * (self.cycles + self.warm_up)

    @property
    def warm_up(self) -> int:
        """Number of cycles that are not counted."""
        return self.cycles // 10 + 1


QUICK = Plan(rounds=5, photos=80, rows=(1_000, 100_000), cycles=80)
