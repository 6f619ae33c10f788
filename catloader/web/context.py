"""What every view needs of the request and the application."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import current_app, request

from catloader.wiring import Services

MAX_ID = 2**31 - 1
"""The largest id that PostgreSQL's integer holds; it refuses to look for a larger one."""


def services() -> Services:
    found: Services = current_app.extensions["catloader"]
    return found


def now() -> datetime:
    return datetime.now(UTC)


def wants_json() -> bool:
    """Decide by ``Accept``; a browser and ``*/*`` get pages."""
    return (
        request.path.startswith("/api/")
        or request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    )


def for_log(text: str, most: int = 80) -> str:
    """A text from outside on one line of the log: line breaks and invisible characters are escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: most + 1])
    return shown if len(shown) <= most else shown[:most] + "..."
