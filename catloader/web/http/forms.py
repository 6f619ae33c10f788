"""Protection of forms against requests from other sites (CSRF).

Each POST must carry a token: an HMAC over the token of the session, so it needs no storage and ends with the
session. For visitors without a session, a page with a form sets a random number in a cookie once, and the
HMAC is over that number; such a token is valid only for the forms of visitors. The token of the upload page
also names the account and is valid for a day.

The headers ``Sec-Fetch-Site`` and ``Origin`` are checked as well. The ``Referer`` is not used: extensions and
proxies remove it, and its scheme and port are those of the proxy.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time

from flask import Flask, current_app, g, request
from werkzeug.exceptions import BadHost

from catloader.errors import FormRefused, InvalidInput
from catloader.languages import gettext_noop
from catloader.logs import logged_path
from catloader.web.http import bearer, cookies
from catloader.web.http.context import for_log, host_name, services

logger = logging.getLogger(__name__)

HEADER = "X-CSRFToken"
FIELD = "csrf_token"
OF_VISITORS = (
    "auth.do_login",
    "auth.do_register",
    "password_link.set_password",
    "mailed_links.send_link",
    "second_step.submit",
    "passkeys.log_in_options",
    "passkeys.log_in",
)
"""Endpoints of forms for visitors. A token made before the log-in stays valid for them after it."""

OF_UPLOADS = (
    "uploads.upload",
    "resumable.begin",
    "resumable.go_on",
    "resumable.give_up",
    "resumable.overridden",
)
_UPLOADS_FOR_S = 24 * 3600

_EXPIRED = gettext_noop("This form has expired. Go back, reload the page and try again.")
NO_COOKIE = gettext_noop(
    "This form has expired, or your browser blocks cookies. Allow the cookies of this site, and "
    "send the form again."
)


def init_app(app: Flask) -> None:
    app.before_request(_protect)
    app.jinja_env.globals["csrf_token"] = token
    app.jinja_env.globals["upload_token"] = upload_token


def token() -> str:
    """Return a new token for a form."""
    owner = g.session_cookie if g.get("user") else None
    return _signed(owner or _visitor(), secrets.token_urlsafe(9))


def upload_token() -> str:
    """Return a token for the upload page. It stays valid for uploads in later sessions of the account.

    So the photos and captions on an open page are not lost if the person logs out and in again.
    """
    begun_s = int(time.time())
    return f"{token()}.{begun_s}.{_mac_of_account(begun_s)}"


def chosen(field: str, first: str, second: str, *, if_missing: str = "") -> str:
    """Return the value of a field that has one of two values.

    Raises:
        InvalidInput: the field has another value. A typing error never means one of the two.
    """
    value = request.form.get(field, if_missing)
    if value not in (first, second):
        raise InvalidInput("Choose one of the two answers.")
    return value


def means_yes(text: str) -> bool:
    """Return True for the value of a ticked box in a browser, and for the words of programs, in any case."""
    return text.lower() in ("on", "true", "yes", "1")


def ticked(field: str) -> bool:
    """Return True if a box of the form is ticked.

    Raises:
        InvalidInput: the field has another value, as a program may send to mean "no".
    """
    return means_yes(request.form.get(field, "")) or chosen(field, "on", "off", if_missing="off") == "on"


def without_token(view: object) -> None:
    """Exempt a view from form tokens: its requests are authenticated in another way, or need not be."""
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
    if bearer.scope_of_request() is not None:
        return  # authenticated by an API token, which another site can't make a browser send
    if request.endpoint == "auth.logout" and g.user is None:
        return  # the person has logged out in another tab already
    try:
        _refuse_other_sites()
        _check_token()
    except FormRefused as error:
        logger.warning(
            "refused %s %s: %s", request.method, logged_path(request.path), for_log(str(error), 200)
        )
        raise


def _refuse_other_sites() -> None:
    if not request.host:  # it has characters that werkzeug does not accept, such as an underscore
        raise BadHost
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
    # Ports are not compared: proxies change them, and cookies are not separated by port either.
    origin_host, own_host = host_name(origin), host_name(f"//{request.host}")
    if origin_host != own_host:
        raise FormRefused(
            "This form came from %(theirs)s, and this site is called %(ours)s (headers Origin and Host). "
            "If both are this site, its proxy must pass the Host header on.",
            theirs=for_log(origin_host),
            ours=for_log(own_host),
            expired=False,
        )


def _check_token() -> None:
    sent_token = request.headers.get(HEADER, "")
    if not sent_token or request.endpoint in OF_VISITORS:  # a refused form is shown again: parse it here
        in_form = request.form.get(FIELD, "")
        sent_token = sent_token or in_form
    owners = [g.session_cookie] if g.user else []
    if request.endpoint in OF_VISITORS:
        owners += cookies.read_all(cookies.FORM)
    salt, mac, *of_account = sent_token.split(".")[:4] if "." in sent_token else (sent_token, "")
    signed = f"{salt}.{mac}".encode()
    if any(owner and hmac.compare_digest(signed, _signed(owner, salt).encode()) for owner in owners):
        return
    if request.endpoint in OF_UPLOADS and g.user and _is_of_account(of_account):
        return
    has_no_cookie = request.endpoint in OF_VISITORS and not owners
    raise FormRefused(NO_COOKIE if has_no_cookie else _EXPIRED, expired=True)


def _is_of_account(parts: list[str]) -> bool:
    if len(parts) != 2 or not (parts[0].isascii() and parts[0].isdecimal() and len(parts[0]) < 12):
        return False
    begun_s = int(parts[0])
    is_valid = hmac.compare_digest(parts[1].encode(), _mac_of_account(begun_s).encode())
    return is_valid and time.time() - begun_s < _UPLOADS_FOR_S


def _mac_of_account(begun_s: int) -> str:
    text = f"upload form:{g.user.id}:{begun_s}"
    return hmac.new(services().secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _signed(owner: str, salt: str) -> str:
    # The salt makes each page's token different, so that compression by a proxy does not reveal it (BREACH).
    text = f"form:{owner}:{salt}".encode("utf-8", "surrogateescape")
    return f"{salt}.{hmac.new(services().secret_key.encode(), text, hashlib.sha256).hexdigest()}"
