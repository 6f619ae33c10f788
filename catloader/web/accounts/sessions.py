"""Sessions: the cookie holds a random token, the database a row for it (``store/db/accounts/sessions.py``).

Every view needs a log-in unless it is marked ``without_login``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from flask import Flask, current_app, flash, g, redirect, request, url_for
from flask import session as notes
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response

from catloader.errors import StoreUnavailable
from catloader.store.db.accounts.sessions import Session
from catloader.store.db.accounts.users import User
from catloader.store.db.engine import utcnow
from catloader.web.http import bearer, cookies
from catloader.web.http.browsers import browser_name
from catloader.web.http.context import page_of_form, services, wants_json
from catloader.web.languages import gettext

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

_FORGET_PHOTOS = "forget_photos"


def without_login(view: View) -> View:
    """Mark a view as usable without a log-in."""
    view.without_login = True  # type: ignore[attr-defined]
    return view


def init_app(app: Flask) -> None:
    app.before_request(_load_user)
    app.before_request(_require_user)
    app.after_request(_touch)
    app.context_processor(lambda: {"user": g.get("user"), "must_forget_photos": _must_forget_photos})


def sign_in(user: User) -> None:
    """Begin a session with a new token (against session fixation); end this browser's previous session."""
    use_token(services().sessions.begin(user, utcnow(), browser_here()))


def sign_in_again(user: User) -> None:
    """Begin a session instead of this one, which has ended with all sessions of the account.

    If another tab has logged out before this session begins, the browser stays logged out. A log-out that
    arrives later, but before the browser has the new cookie, does not reach the new session.
    """
    ended = cookies.unsigned(g.session_cookie, services().secret_key)
    token = ended and services().sessions.begin_again(ended, user, utcnow(), browser_here())
    if token:
        use_token(token)


def browser_here() -> str:
    """Return the name of this request's browser."""
    return browser_name(request.headers.get("User-Agent", ""))


def use_token(token: str) -> None:
    """Give the browser the token of a new session, and end its previous session."""
    _end_session()
    if g.was_ended:  # a person may log in before the script of the log-in page has run
        notes[_FORGET_PHOTOS] = True
    _set_cookie(cookies.signed(token, services().secret_key))


def sign_out() -> None:
    """End the session in the database, so that a copy of its cookie is useless."""
    if g.was_ended:  # so that a new password in another tab does not begin a session instead of it
        services().sessions.forget(g.session_tokens)
    _end_session()
    services().deletion.wake()  # deletes partial uploads that nobody can continue now
    _set_cookie("")
    g.user = None


def current_user() -> User:
    user: User | None = g.get("user")
    if user is None:
        raise Unauthorized("Please log in.")
    return user


def _set_cookie(value: str) -> None:
    cookies.set_session(value, services().secret_key, timedelta(days=services().settings.session_days))


def _end_session() -> None:
    session: Session | None = g.get("session")
    if session is not None:
        services().sessions.end(session)
    g.session = None


def _load_user() -> None:
    g.user = g.session = g.session_cookie = None
    g.was_ended, g.session_tokens = False, []
    if (scope := bearer.scope_of_request()) is not None:
        g.user = bearer.user(scope)  # cookies are ignored here, so other sites can't use a visitor's session
        return
    if request.endpoint == "static":
        return
    values = [value for cookie in cookies.read_all(cookies.SESSION) for value in cookies.sessions_of(cookie)]
    tokens = {value: token for value in values if (token := cookies.unsigned(value, services().secret_key))}
    for value, token in tokens.items():
        if (session := services().sessions.find(token, utcnow())) is not None:
            g.session, g.session_cookie, g.user = session, value, session.user
            return
    g.session_tokens = [*tokens.values()]
    g.was_ended = bool(tokens) and services().sessions.were_ended(g.session_tokens)


def _must_forget_photos() -> bool:
    """Return True if photos waiting in this browser come from a session that was ended deliberately."""
    return bool(notes.pop(_FORGET_PHOTOS, None)) or bool(g.get("was_ended"))


def _require_user() -> Response | None:
    if g.user is not None or request.endpoint in (None, "static"):
        return None
    if getattr(current_app.view_functions[request.endpoint or ""], "without_login", False):
        return None
    if wants_json():
        raise Unauthorized("Please log in.")
    reads = request.method in ("GET", "HEAD")
    if g.session is not None:  # a sign-up with an e-mail that is registered already
        sign_out()
        flash(
            gettext("Log in with your password. If you already had an account, its password has not changed.")
        )
    elif reads:
        flash(gettext("Please log in first."))
    else:
        flash(gettext("You are logged out, so nothing was changed. Log in, and send the form again."))
    next_path = request.full_path.rstrip("?") if reads else page_of_form()
    return redirect(url_for("auth.login", next=next_path), 303)


def _touch(response: Response) -> Response:
    """Record the use of the session. Only pages count as use, and no cookie is set."""
    session: Session | None = g.get("session")
    is_page = request.method == "GET" and response.mimetype == "text/html" and response.status_code < 400
    if session is not None and is_page and utcnow() - session.used_at > bearer.TOUCH_EVERY:
        try:
            services().sessions.touch(session, utcnow())
        except StoreUnavailable as error:  # the page has been rendered already
            logger.warning("the use of a session was not recorded: %s", error)
    return response
