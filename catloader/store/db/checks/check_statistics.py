"""Statistics of a limited number of the latest checks, for the dashboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, func, literal, select, union_all

from catloader.store.db.engine import reading
from catloader.store.db.schema import check_log

MOST_CHECKS = 5000
"""Maximum number of attempts that are read: they take about 3 MB of memory and 20 ms."""
_ERROR_CHARS = 120
_PERCENTILES = (50, 90, 99)
_COLUMNS = ("verdict", "model", "device", "runtime", "precision", "ms", "error")


@dataclass(slots=True)
class RecentChecks:
    """Statistics of at most ``MOST_CHECKS`` of the latest attempts."""

    number: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    """Verdict -> number of attempts; ``error`` counts attempts without a verdict"""
    by_model: dict[str, Counter[str]] = field(default_factory=dict)
    variants: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Variant and device, as in ("openvino int8", "cpu") -> number of attempts"""
    errors: Counter[str] = field(default_factory=Counter)
    """Beginning of the error's text -> number of attempts"""
    latency_ms: dict[int, float] = field(default_factory=dict)
    """Percentile -> total time of a check; empty: no check recorded its time"""


class CheckStatistics:
    """Read access to the check log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def recent(self, since: datetime) -> RecentChecks:
        """Summarise the latest attempts that were finished since the given time."""
        query = (
            select(*(check_log.c[name] for name in _COLUMNS))
            .where(check_log.c.finished_at >= since)
            .order_by(check_log.c.finished_at.desc())
            .limit(MOST_CHECKS)
        )
        with reading(self._engine) as connection:
            return _summary(connection.execute(query).all())

    def per_hour(self, now: datetime, hours: int) -> list[tuple[datetime, int]]:
        """Count the attempts in each of the last hours, oldest first; the last hour is incomplete."""
        this_hour = now.replace(minute=0, second=0, microsecond=0)
        starts = [this_hour - timedelta(hours=back) for back in range(hours - 1, -1, -1)]
        counts = union_all(
            *(
                select(literal(place).label("place"), func.count().label("number")).where(
                    check_log.c.finished_at >= start, check_log.c.finished_at < start + timedelta(hours=1)
                )
                for place, start in enumerate(starts)
            )
        )
        with reading(self._engine) as connection:
            numbers = {row.place: row.number for row in connection.execute(counts)}
        return [(start, numbers[place]) for place, start in enumerate(starts)]


def _summary(rows: Sequence[Row[Any]]) -> RecentChecks:
    recent, times_ms = RecentChecks(number=len(rows)), []
    for row in rows:
        outcome = row.verdict or "error"
        recent.verdicts[outcome] += 1
        if row.model:
            recent.by_model.setdefault(row.model, Counter())[outcome] += 1
            recent.variants[f"{row.runtime} {row.precision}", row.device] += 1
        if row.error:
            recent.errors[row.error[:_ERROR_CHARS]] += 1
        if row.ms and row.ms.get("total") is not None:
            times_ms.append(float(row.ms["total"]))
    times_ms.sort()
    if times_ms:  # the nearest rank
        recent.latency_ms = {p: times_ms[-(-p * len(times_ms) // 100) - 1] for p in _PERCENTILES}
    return recent
