"""Names of browsers for people, such as "Firefox on Linux"."""

from __future__ import annotations

from catloader.languages import gettext_noop
from catloader.web.languages import gettext

# The first match is used: Edge and Opera also call themselves Chrome, and Chrome calls itself Safari.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)

UNKNOWN = gettext_noop("Unknown browser")


def shown_browser(name: str) -> str:
    """Return a stored name in the language of the request.

    Args:
        name: a result of ``browser_name``, or "".
    """
    browser, on, system = name.partition(" on ")
    browser = browser if browser not in ("", UNKNOWN) else gettext(UNKNOWN)
    return gettext("%(browser)s on %(system)s", browser=browser, system=system) if on else browser


def browser_name(user_agent: str) -> str:
    """Return a name for a ``User-Agent`` header. It consists of words of this module only."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), UNKNOWN)
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if system else browser
