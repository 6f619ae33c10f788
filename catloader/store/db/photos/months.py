"""Months of a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def month_of(moment: datetime, zone: tzinfo = UTC) -> datetime:
    """Return the first moment of the month that contains ``moment`` in a time zone."""
    moment = moment.astimezone(zone)
    return datetime(moment.year, moment.month, 1, tzinfo=zone)


def next_month(month: datetime) -> datetime:
    """Return the first moment of the next month."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=month.tzinfo)


def previous_month(month: datetime) -> datetime:
    """Return the first moment of the previous month."""
    return datetime(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1, tzinfo=month.tzinfo)
