"""Forms: each POST carries a token of this browser's session, and comes from this site's own pages.

The token is an HMAC over the session's token, so it needs no place of its own and ends with the session.
Visitors without a session get a random number in a cookie instead, set once by a page with a form; it is good
for the forms of visitors only.

Browsers that tell where a request comes from (``Sec-Fetch-Site``, ``Origin``) are believed as well. The
``Referer`` is not asked for: extensions and proxies remove it, and ports and schemes in it are those of the
proxy.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets

from flask import Flask, current_app, g, request

from catloader.errors import FormRefused
from catloader.languages import gettext_noop
from catloader.logs import logged_path
from catloader.web import cookies
from catloader.web.context import for_log, host_name, services

logger = logging.getLogger(__name__)

HEADER = "X-CSRFToken"
FIELD = "csrf_token"
OF_VISITORS = (
    "auth.do_login",
    "auth.do_register",
    "password_link.set_password",
    "mailed_links.send_link",
    "second_step.verify",
    "passkeys.log_in_options",
    "passkeys.log_in",
)
"""Endpoints of forms that visitors fill in; a token from before the log-in is good for them afterwards."""

_EXPIRED = gettext_noop("This form has expired. Go back, reload the page and try again.")


def init_app(app: Flask) -> None:
    app.before_request(_protect)
    app.jinja_env.globals["csrf_token"] = token


def token() -> str:
    """Return a token for a form of this page; each call another one."""
    owner = cookies.read(cookies.SESSION) if g.get("user") else None
    return _signed(owner or _visitor(), secrets.token_urlsafe(9))


def without_token(view: object) -> None:
    """Mark the view of a program that signs its requests otherwise."""
    view.without_token = True  # type: ignore[attr-defined]


def _visitor() -> str:
    visitor: str | None = g.get("form_visitor") or cookies.read(cookies.FORM)
    if not visitor:
        visitor = g.form_visitor = secrets.token_urlsafe(16)
        cookies.set_cookie(cookies.FORM, visitor)
    return visitor


def _protect() -> None:
    if request.method in ("GET", "HEAD", "OPTIONS", "TRACE") or request.endpoint is None:
        return
    if getattr(current_app.view_functions[request.endpoint], "without_token", False):
        return
    if request.endpoint == "auth.logout" and g.user is None:
        return  # logged out already, in another tab
    try:
        _refuse_other_sites()
        _check_token()
    except FormRefused as error:
        logger.warning(
            "refused %s %s: %s", request.method, logged_path(request.path), for_log(str(error), 200)
        )
        raise


def _refuse_other_sites() -> None:
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site in ("same-origin", "none"):
        return
    if fetch_site is not None:
        raise FormRefused(
            "This form was sent by another site (Sec-Fetch-Site: %(value)s).",
            value=for_log(fetch_site),
            expired=False,
        )
    origin = request.headers.get("Origin")
    if origin is None or origin == "null":
        return
    # Without ports, which proxies change; cookies do not tell ports apart either.
    theirs, ours = host_name(origin), host_name(f"//{request.host}")
    if theirs != ours:
        raise FormRefused(
            "This form came from %(theirs)s, and this site is called %(ours)s (headers Origin and Host). "
            "If both are this site, its proxy must pass the Host header on.",
            theirs=for_log(theirs),
            ours=for_log(ours),
            expired=False,
        )


def _check_token() -> None:
    given = request.headers.get(HEADER) or request.form.get(FIELD, "")
    owners = [cookies.read(cookies.SESSION)] if g.user else []
    if request.endpoint in OF_VISITORS:
        owners.append(cookies.read(cookies.FORM))
    salt, _, _mac = given.partition(".")
    if not any(
        owner and hmac.compare_digest(given.encode(), _signed(owner, salt).encode()) for owner in owners
    ):
        raise FormRefused(_EXPIRED, expired=True)


def _signed(owner: str, salt: str) -> str:
    # The salt makes each page's token another one: a proxy's compression cannot be used to find it (BREACH).
    text = f"form:{owner}:{salt}".encode("utf-8", "surrogateescape")
    return f"{salt}.{hmac.new(services().secret_key.encode(), text, hashlib.sha256).hexdigest()}"
