"""Helpers for all views: services, parameters, addresses, and text for the log."""

from __future__ import annotations

from typing import Any
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
"""The largest value of an integer column. PostgreSQL refuses to compare the column with a larger number."""
MAX_PHOTO_ID = 2**63 - 1
"""The largest number of a photo."""
_MOST_PATH_CHARS = 2000
"""Limit of an address in a ``Location`` header: proxies refuse responses with very long headers."""
PHOTO_NOT_FOUND = gettext_noop("This photo may have been deleted, or it belongs to someone else.")


def services() -> Services:
    """Return the services that this application was built with."""
    app_services: Services = current_app.extensions["catloader"]
    return app_services


def own_photo(id: int) -> Photo:
    """Return a photo of the current user.

    Raises:
        NotFound: there is no such photo, or it belongs to another user, which is not revealed.
    """
    # The API's routes accept any number. If they had a maximum, larger ids would get 405 for some methods.
    photo = services().photos.by_id(id) if id <= MAX_PHOTO_ID else None
    if photo is None or photo.owner_id != g.user.id:
        raise NotFound(PHOTO_NOT_FOUND)
    return photo


def whole_number(text: str) -> int | None:
    """Return the number in a request parameter; None if it is not a number or has too many digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def guard() -> Guard:
    """Return the limits on attempts, together with the address and time of this request."""
    return Guard(services().attempts, request.remote_addr or "", utcnow())


def wants_json() -> bool:
    """Return True if the path or the ``Accept`` header requests JSON. Browsers and ``*/*`` get pages."""
    return (
        request.path.startswith("/api/")
        or request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    )


def make_conditional(response: Response) -> None:
    """Turn a response with an ETag into 304 if the client already has this version.

    ``If-Match`` is ignored. It is meant for changes, and werkzeug would respond with 412 and the content.
    """
    response.make_conditional({**request.environ, "HTTP_IF_MATCH": ""})


def host_name(url: str) -> str:
    """Return the host of an address in lower case, without its port; "" if the address has no host."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def page_of_form() -> str | None:
    """Return the path of the page from which this form was sent, or None.

    None if the page is not known, belongs to another site, or can't be opened with GET.
    """
    referrer = request.referrer or ""
    if not referrer or host_name(referrer) != host_name(f"//{request.host}"):
        return None
    url = urlsplit(referrer)
    if not _is_page(url.path.removeprefix(request.script_root)):
        return None
    return f"{url.path}?{url.query}" if url.query else url.path


def _is_page(path: str) -> bool:
    """Return True if a path without the prefix of a proxy can be opened with GET."""
    adapter = current_app.create_url_adapter(request)
    try:
        if adapter is not None:
            adapter.match(path, method="GET")
    except HTTPException:  # also a redirect
        return False
    return True


def full_address(endpoint: str, **values: Any) -> str:
    """Return the full address of a page, for a link that other people get.

    It begins with ``CATLOADER_PUBLIC_URL`` if that is set. The address of this request may lead to the site
    only from this network, or through a tunnel of this person.
    """
    site = services().settings.public_url.rstrip("/")
    if not site:
        return url_for(endpoint, **values, _external=True)
    return site + url_for(endpoint, **values).removeprefix(request.script_root)


def page_of_photo(id: int) -> str:
    """Return the address of a photo's page.

    If this form was sent from that page, the address keeps the query, which names the list of photos.
    """
    address, form_page = url_for("photo.page", id=id), page_of_form() or ""
    return form_page if form_page.partition("?")[0] == address else address


def for_log(text: str, max_chars: int = 80) -> str:
    """Make text from a client safe for one log line: escape unprintable characters, and truncate the text."""
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: max_chars + 1]
    )
    return escaped if len(escaped) <= max_chars else escaped[:max_chars] + "..."


def local_path(target: str | None) -> str:
    """Return ``target`` if it is a path of this site, else the address of My photos.

    The path gets the prefix under which a proxy serves the site, unless it begins with the prefix already.
    """
    is_path = target and target.startswith("/") and not target.startswith("//")
    if target and is_path and len(target) <= _MOST_PATH_CHARS and target.isprintable() and "\\" not in target:
        prefix = request.script_root
        # The prefix may look like a page: below "/photos", "/photos/5" is the page "/photos/photos/5".
        rest = urlsplit(target).path.removeprefix(f"{prefix}/").rstrip("/")
        has_prefix = target.startswith(f"{prefix}/") and _is_page(f"/{rest}")
        return target if has_prefix else prefix + target
    return url_for("gallery.photos")
