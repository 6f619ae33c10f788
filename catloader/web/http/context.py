"""Helpers for all views: the services, the requested format, text for the log."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app, g, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from catloader.accounts.accounts import Guard
from catloader.errors import NotFound
from catloader.languages import gettext_noop
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.wiring import Services

MAX_ID = 2**31 - 1
"""The largest id of a PostgreSQL integer column; the server refuses to compare it with a larger number."""
_MOST_PATH_CHARS = 2000
"""Longer headers than this make an answer that proxies refuse."""
PHOTO_NOT_FOUND = gettext_noop("This photo may have been deleted, or it belongs to someone else.")


def services() -> Services:
    """Return the services that this application was built with."""
    app_services: Services = current_app.extensions["catloader"]
    return app_services


def own_photo(id: int) -> Photo:
    """Return the user's own photo.

    Raises:
        NotFound: also for another user's, whose existence is not revealed.
    """
    # Views of the API take any number: for an invalid one the router would answer some methods with 405.
    photo = services().photos.by_id(id) if id <= MAX_ID else None
    if photo is None or photo.owner_id != g.user.id:
        raise NotFound(PHOTO_NOT_FOUND)
    return photo


def whole_number(text: str) -> int | None:
    """Return the number in a text of a request; None: it is none, or has more digits than any id."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def guard() -> Guard:
    """Return the limits, and this request as the attempt that they count."""
    return Guard(services().attempts, request.remote_addr or "", utcnow())


def wants_json() -> bool:
    """Return True if JSON was requested, by path or ``Accept``; browsers and ``*/*`` get pages."""
    return (
        request.path.startswith("/api/")
        or request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    )


def make_conditional(response: Response) -> None:
    """Turn a response with an ETag into 304 if the client has that version.

    ``If-Match`` is ignored: reading changes nothing, and werkzeug would send the content with 412.
    """
    response.make_conditional({**request.environ, "HTTP_IF_MATCH": ""})


def host_name(url: str) -> str:
    """Return the host of an address, without its port and in lower case; "" if there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def page_of_form() -> str | None:
    """Return the path of the page whose form was sent; None: it is not known, is on another site, or can't be
    opened again.
    """
    sender = request.referrer or ""
    if not sender or host_name(sender) != host_name(f"//{request.host}"):
        return None
    url, adapter = urlsplit(sender), current_app.create_url_adapter(request)
    try:
        if adapter is not None:
            adapter.match(url.path.removeprefix(request.script_root), method="GET")
    except HTTPException:  # also a redirect
        return None
    return f"{url.path}?{url.query}" if url.query else url.path


def page_of_photo(id: int) -> str:
    """Return the address of a photo's page: if the form came from it, with the list that it belongs to."""
    address, sender = url_for("photo.page", id=id), page_of_form() or ""
    return sender if sender.partition("?")[0] == address else address


def for_log(text: str, max_chars: int = 80) -> str:
    """Make client text safe for one log line: escape line breaks and invisible characters, truncate it."""
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: max_chars + 1]
    )
    return escaped if len(escaped) <= max_chars else escaped[:max_chars] + "..."


def local_path(target: str | None) -> str:
    """Return ``target`` if it is a path of this site, else the address of My photos.

    It is written without the prefix that a proxy adds, as in ``/photos``; one that has it already is kept.
    """
    is_path = target and target.startswith("/") and not target.startswith("//")
    if target and is_path and len(target) <= _MOST_PATH_CHARS and target.isprintable() and "\\" not in target:
        prefix = request.script_root
        return target if prefix and target.startswith(f"{prefix}/") else prefix + target
    return url_for("gallery.photos")
