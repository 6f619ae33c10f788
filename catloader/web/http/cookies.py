"""The cookies of the site: names, flags and lifetime in one place.

``catloader_session`` names the log-in, ``catloader_form`` binds forms of visitors who have none,
``catloader_first_step`` exists between the two steps of a log-in, ``catloader_provider`` while a person is at
the provider of log-ins, and ``catloader_notes`` holds messages for the next page (Flask's own signed
session). ``catloader_theme`` exists if a person chose light or dark pages; scripts set ``catloader_zone``,
the time zone. The first two cookies are set once and not renewed by other responses: a late response
overwrites nothing.

Apart from cookies, browsers keep the number of the account; photos that were shared or dropped, until the
upload page opens, the account is logged out, here or from another device, or another one logs in; and in its
tab the text of a form that was refused, until it is shown again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import timedelta

from flask import Flask, after_this_request, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.wrappers import Response

SESSION = "catloader_session"
FORM = "catloader_form"
PROVIDER = "catloader_provider"
FIRST_STEP = "catloader_first_step"
NOTES = "catloader_notes"
THEME = "catloader_theme"

_MOST_OF_A_NAME = 4
"""Each may cost a query."""
_BETWEEN_SESSIONS = "~"
_SIGNED = re.compile(r"[A-Za-z0-9_-]{43}\.[0-9a-f]{32}")


def name_here(name: str) -> str:
    """Return the cookie's name for this request.

    Browsers accept ``__Host-`` cookies only over https and only from exactly this host: neither plain http
    nor another subdomain can plant one.
    """
    plain, secure = names(name)
    return secure if request.is_secure else plain


def names(name: str) -> tuple[str, str]:
    """Return the cookie's names over http and over https."""
    return name, f"__Host-{name}"


def signed(token: str, key: str) -> str:
    """Return the value of a session's cookie.

    The signature is not the authentication, which is in the database. It distinguishes a token of this site
    from an invented one without a query: while the body of an upload is received.
    """
    return f"{token}.{_mac(token, key)}"


def unsigned(value: str, key: str) -> str | None:
    """Return the token of a session's cookie; None if this site did not make it."""
    token, _, mac = value.rpartition(".")
    good = hmac.compare_digest(mac.encode("utf-8", "surrogateescape"), _mac(token, key).encode())
    return token if good else None


def _mac(token: str, key: str) -> str:
    text = f"session {token}".encode("utf-8", "surrogateescape")
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()[:32]


def read(name: str) -> str | None:
    return request.cookies.get(name_here(name))


def read_all(name: str) -> list[str]:
    """Return the values of all cookies with this name.

    Another program on the same host, or this site when it was served below a path, may have set one for a
    longer path: browsers send that one first, and a new one does not replace it.
    """
    return request.cookies.getlist(name_here(name))[:_MOST_OF_A_NAME]


def sessions_of(value: str) -> list[str]:
    """Return the sessions in a cookie: this site's, and those of others under the same host name.

    Cookies do not distinguish ports, so a log-in here would otherwise log out the other sites.
    """
    return value.split(_BETWEEN_SESSIONS)[:_MOST_OF_A_NAME]


def set_session(value: str, key: str, max_age: timedelta) -> None:
    """Set the session's cookie with this response; ``""``: without one of this site.

    Args:
        value: as ``signed`` returns it.
        key: tells the sessions of this site, which are left out, from those of others, which are kept.
    """
    sent = [one for cookie in read_all(SESSION) for one in sessions_of(cookie)]
    others = [one for one in dict.fromkeys(sent) if _SIGNED.fullmatch(one) and unsigned(one, key) is None]
    if kept := [value] * bool(value) + others:
        set_cookie(SESSION, _BETWEEN_SESSIONS.join(kept[:_MOST_OF_A_NAME]), max_age)
    else:
        delete_cookie(SESSION)


def set_cookie(name: str, value: str, max_age: timedelta | None = None) -> None:
    """Set it with this response; without ``max_age`` it ends with the browser."""

    @after_this_request
    def add(response: Response) -> Response:
        response.set_cookie(
            name_here(name), value, max_age=max_age, secure=request.is_secure, httponly=True, samesite="Lax"
        )
        return response


def delete_cookie(name: str) -> None:
    @after_this_request
    def add(response: Response) -> Response:
        response.delete_cookie(name_here(name), secure=request.is_secure, httponly=True, samesite="Lax")
        return response


class Notes(SecureCookieSessionInterface):
    """Flask's session, used for flashed messages only; https is also recognised behind a trusted proxy."""

    def get_cookie_name(self, app: Flask) -> str:  # noqa: ARG002 - Flask passes it by name or place
        return name_here(NOTES)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        return request.is_secure
