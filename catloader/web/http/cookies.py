"""The cookies of the site: their names, flags and lifetimes.

- ``catloader_session`` holds the token of the session.
- ``catloader_form`` binds the forms of visitors who have no session to their browser.
- ``catloader_first_step`` exists between the two steps of a log-in.
- ``catloader_provider`` exists while a person is at the provider of log-ins.
- ``catloader_notes`` holds messages for the next page. It is Flask's own signed session.
- ``catloader_theme`` exists if a person chose light or dark pages.
- ``catloader_zone`` is the time zone, set by scripts.

The first two cookies are set once and not renewed by other responses, so a late response can't overwrite
a newer value.

Browsers keep some data outside of cookies, too: the number of the account; the text of a refused form, in its
tab, until the form is shown again; and photos that were shared or dropped. Such photos are kept until the
upload page opens, the account is logged out (here or from another device), or another account logs in.
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
"""Maximum number of cookies with one name that are read: each of them may cost a query."""
_BETWEEN_SESSIONS = "~"
_SIGNED = re.compile(r"[A-Za-z0-9_-]{43}\.[0-9a-f]{32}")


def name_here(name: str) -> str:
    """Return the cookie's name for this request.

    Over https it has the prefix ``__Host-``. Browsers accept such cookies only over https and from exactly
    this host, so neither plain http nor another subdomain can set one.
    """
    plain, secure = names(name)
    return secure if request.is_secure else plain


def names(name: str) -> tuple[str, str]:
    """Return the cookie's names over http and over https."""
    return name, f"__Host-{name}"


def signed(token: str, key: str) -> str:
    """Return the value of a session's cookie: the token and a signature.

    The signature does not authenticate the user; the row in the database does. With the signature, the server
    can tell an invented token without a query, when it decides how much of an upload's body to keep.
    """
    return f"{token}.{_mac(token, key)}"


def unsigned(value: str, key: str) -> str | None:
    """Return the token of a session's cookie; None if this site did not make it."""
    token, _, mac = value.rpartition(".")
    is_valid = hmac.compare_digest(mac.encode("utf-8", "surrogateescape"), _mac(token, key).encode())
    return token if is_valid else None


def _mac(token: str, key: str) -> str:
    text = f"session {token}".encode("utf-8", "surrogateescape")
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()[:32]


def read(name: str) -> str | None:
    return request.cookies.get(name_here(name))


def read_all(name: str) -> list[str]:
    """Return the values of all cookies with this name.

    There may be several: another program on the same host, or this site when it was served below a path, may
    have set a cookie for a longer path. Browsers send that one first, and a new cookie does not replace it.
    """
    return request.cookies.getlist(name_here(name))[:_MOST_OF_A_NAME]


def sessions_of(value: str) -> list[str]:
    """Split a cookie into the values of sessions: of this site, and of other sites with the same host name.

    Browsers do not separate cookies by port. If each site kept only its own session, a log-in here would log
    out the others.
    """
    return value.split(_BETWEEN_SESSIONS)[:_MOST_OF_A_NAME]


def set_session(value: str, key: str, max_age: timedelta) -> None:
    """Set the session's cookie with this response. Sessions of other sites in it are kept.

    Args:
        value: a result of ``signed``; "" to remove the session of this site.
        key: the key of ``signed``, by which earlier sessions of this site are recognised and left out.
    """
    received = dict.fromkeys(old for cookie in read_all(SESSION) for old in sessions_of(cookie))
    others = [old for old in received if _SIGNED.fullmatch(old) and unsigned(old, key) is None]
    if values := [value] * bool(value) + others:
        set_cookie(SESSION, _BETWEEN_SESSIONS.join(values[:_MOST_OF_A_NAME]), max_age)
    else:
        delete_cookie(SESSION)


def set_cookie(name: str, value: str, max_age: timedelta | None = None) -> None:
    """Set a cookie with this response. Without ``max_age`` it lasts until the browser is closed."""

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
    """Flask's session, used for flashed messages only. It recognises https behind a trusted proxy, too."""

    def get_cookie_name(self, app: Flask) -> str:  # noqa: ARG002 - Flask passes it by name or place
        return name_here(NOTES)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002
        return request.is_secure
