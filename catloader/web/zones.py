"""The time zone of a browser. Scripts store it in a cookie; without scripts it is UTC."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from flask import request

_COOKIE = "catloader_zone"
_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def zone() -> tzinfo:
    """Return the time zone of this request's browser; UTC if the cookie is missing or its zone is unknown."""
    name = request.cookies.get(_COOKIE, "")
    try:
        return ZoneInfo(name) if len(name) < 64 and _NAME.fullmatch(name) else UTC
    except (LookupError, OSError, ValueError):  # there is no such zone, or the name is a folder of zones
        return UTC
