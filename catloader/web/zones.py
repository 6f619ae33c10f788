"""The time zone of a browser. Scripts store it in a cookie; without scripts it is UTC."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from babel.core import get_global
from flask import request

_COOKIE = "catloader_zone"
_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def zone() -> tzinfo:
    """Return the time zone of this request's browser; UTC if the cookie is missing or its zone is unknown.

    Browsers use names from before a city was renamed, such as ``Asia/Calcutta``. Debian and Ubuntu install
    these names only with the package ``tzdata-legacy``.
    """
    name = request.cookies.get(_COOKIE, "")
    if len(name) < 64 and _NAME.fullmatch(name):
        for known_as in (name, get_global("zone_aliases").get(name, name)):
            with suppress(LookupError, OSError, ValueError):  # no such zone, or a folder of zones
                return ZoneInfo(known_as)
    return UTC
