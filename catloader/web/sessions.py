"""The log-in, kept in the signed session cookie.

Every view needs a log-in unless it is marked ``without_login``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, flash, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response

from catloader.store.db.users import User
from catloader.web.context import services, wants_json

View = TypeVar("View", bound=Callable[..., Any])


class Sessions(SecureCookieSessionInterface):
    """Session cookies that are Secure if the request came over https, also through a trusted proxy."""

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask passes it by name or place
        return request.is_secure


def without_login(view: View) -> View:
    """Mark a view as usable without a log-in."""
    view.without_login = True  # type: ignore[attr-defined]
    return view


def init_app(app: Flask) -> None:
    app.before_request(_load_user)
    app.before_request(_require_user)
    app.context_processor(lambda: {"user": g.get("user")})


def sign_in(user: User) -> None:
    session.clear()  # a session set before the log-in must not survive it (session fixation)
    session["account"] = _account(user)
    session.permanent = True
    g.user = user


def sign_out() -> None:
    session.clear()
    g.user = None


def current_user() -> User:
    user: User | None = g.get("user")
    if user is None:
        raise Unauthorized("Please log in.")
    return user


def _account(user: User) -> list[int | str]:
    """Return what ties a session to one account: a database may reuse a deleted user's id."""
    return [user.id, user.session_version, user.created_at.isoformat()]


def _load_user() -> None:
    g.user = None
    if request.endpoint == "static" or "account" not in session:
        return
    account = session["account"]
    user = services().users.by_id(account[0])
    if user is not None and _account(user) == account:
        g.user = user
    else:
        sign_out()


def _require_user() -> Response | None:
    if g.user is not None or request.endpoint in (None, "static"):
        return None
    if getattr(current_app.view_functions[request.endpoint or ""], "without_login", False):
        return None
    if wants_json():
        raise Unauthorized("Please log in.")
    flash("Please log in first.")
    next_path = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.login", next=next_path), 303)
