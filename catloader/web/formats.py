"""Dates, numbers and sizes in the language of the request."""

from __future__ import annotations

from datetime import datetime

from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal
from flask import Flask

from catloader.web.languages import gettext, locale, ngettext
from catloader.web.zones import zone

_NO_BREAK = "\N{NO-BREAK SPACE}"


def init_app(app: Flask) -> None:
    for filter in (
        shown_date,
        shown_month,
        short_month,
        shown_time,
        shown_clock,
        shown_number,
        shown_bytes,
        shown_limit,
        shown_days,
        shown_minutes,
    ):
        app.add_template_filter(filter)


def shown_date(moment: datetime) -> str:
    """Format as "5 Nov 2026", in the time zone of the browser. ``times.js`` formats dates in the same way."""
    return _date(moment.astimezone(zone()))


def _date(moment: datetime) -> str:
    return format_date(moment, "medium", locale())


def shown_month(month: datetime) -> str:
    """Format as "November 2026"."""
    return format_skeleton("yMMMM", month, locale=locale())


def short_month(month: datetime) -> str:
    """Format as "Nov"."""
    return format_date(month, "LLL", locale())


def shown_time(moment: datetime) -> str:
    """Format as "5 Nov 2026, 14:07 UTC". The script ``times.js`` replaces it with local time."""
    return f"{_date(moment)}, {moment:%H:%M} UTC"


def shown_clock(text: str) -> str:
    """Format "2024-05-01T14:07:00", whose time zone is unknown, as "1 May 2024, 14:07"."""
    moment = datetime.fromisoformat(text)
    return f"{_date(moment)}, {moment:%H:%M}"


def shown_number(number: float, decimals: int = 0) -> str:
    """Format with the decimal separator of the language: "0.731" or "0,731"."""
    pattern = f"0.{'0' * decimals}" if decimals else "0"
    return format_decimal(number, pattern, locale=locale())


def shown_bytes(size_bytes: int) -> str:
    """Format a size as "1.2 GB", "1.2 MB", "195 kB" or "0 kB", with a no-break space."""
    if size_bytes < 2**20:
        return f"{size_bytes and max(1, size_bytes // 1024)}{_NO_BREAK}kB"
    if size_bytes >= 2**30:
        return f"{shown_number(size_bytes / 2**30, 1)}{_NO_BREAK}GB"
    return f"{shown_number(size_bytes / 2**20, 1)}{_NO_BREAK}MB"


def shown_limit(size_bytes: int) -> str:
    """Format a limit without meaningless decimals: "25 MB", "1.5 MB" or "195 kB"."""
    if size_bytes < 2**20:
        return f"{max(1, size_bytes // 1024)} kB"
    return f"{format_decimal(float(f'{size_bytes / 2**20:.3g}'), '0.##', locale=locale())} MB"


def shown_days(days: float) -> str:
    """Format as "30 days" or "1 day"."""
    if days != int(days):
        return gettext("%(number)s days", number=format_decimal(days, locale=locale()))
    return ngettext("%(num)d day", "%(num)d days", int(days))


def shown_minutes(minutes: float) -> str:
    """Format as "10 minutes" or "1 minute", rounded like the minutes in mails."""
    return ngettext("%(num)d minute", "%(num)d minutes", round(minutes))


def shown_seconds(seconds: float) -> str:
    """Format as "15 seconds" or "1 second"."""
    if seconds != int(seconds):
        return gettext("%(number)s seconds", number=format_decimal(seconds, locale=locale()))
    return ngettext("%(num)d second", "%(num)d seconds", int(seconds))
