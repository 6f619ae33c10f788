"""Authentication of programs by an API token in ``Authorization: Bearer ...``. Cookies are ignored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from flask import Flask, current_app, g, request
from werkzeug.wrappers import Response

from catloader.accounts.api_tokens import PREFIX, Scope, is_signed
from catloader.errors import ScopeMissing, StoreUnavailable, TokenRefused
from catloader.store.db.accounts.api_tokens import ApiToken
from catloader.store.db.accounts.users import User
from catloader.store.db.engine import utcnow
from catloader.web.http import cookies
from catloader.web.http.context import services

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

TOUCH_EVERY = timedelta(minutes=5)
"""Minimum interval between two records of the use of a token or session.

It must be shorter than the shortest idle limit that can be set (14 minutes).
"""


def needs(scope: Scope) -> Callable[[View], View]:
    """Mark a view as one for programs with an API token that has the scope. It needs no form token."""

    def mark(view: View) -> View:
        view.scope, view.without_token = scope, True  # type: ignore[attr-defined]
        return view

    return mark


def also_with(scope: Scope) -> Callable[[View], View]:
    """Mark a view as one for browsers, and also for programs with an API token that has the scope."""

    def mark(view: View) -> View:
        view.scope_of_token = scope  # type: ignore[attr-defined]
        return view

    return mark


def init_app(app: Flask) -> None:
    app.after_request(_challenge)


def scope_of_request() -> Scope | None:
    """Return the scope that the request's API token needs; None if the request comes from a browser."""
    view = current_app.view_functions.get(request.endpoint or "")
    optional_scope: Scope | None = getattr(view, "scope_of_token", None)
    if optional_scope is not None and _is_of_program():
        return optional_scope
    return getattr(view, "scope", None)


def _is_of_program() -> bool:
    """Return True if the request has an API token.

    Proxies that log people in, such as oauth2-proxy, can add their own token to the requests of browsers.
    """
    token = sent_token(request.headers.get("Authorization", ""))
    return token.startswith(PREFIX) or (token != "" and cookies.read(cookies.SESSION) is None)


def sent_token(authorization: str) -> str:
    """Return the bearer token in the value of an ``Authorization`` header; "" if there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def user(scope: Scope) -> User:
    """Return the account that the request's API token acts for.

    Raises:
        TokenRefused: the request has no token, or the token is not valid on this site.
        ScopeMissing: the token lacks ``scope``.
        TooManyAttempts: too many wrong tokens came from this network.
    """
    token, now = sent_token(request.headers.get("Authorization", "")), utcnow()
    if not token:
        raise TokenRefused("This address needs an API token: send it as `Authorization: Bearer TOKEN`.")
    row = services().api_tokens.find(token, now) if is_signed(token, services().secret_key) else None
    if row is None:
        services().attempts.wrong_token(request.remote_addr or "", now)
        g.bearer_error = 'error="invalid_token"'
        raise TokenRefused("This API token is unknown, revoked or expired.")
    api_token, account = row
    _touch(api_token)
    if scope not in api_token.scopes:
        g.bearer_error = f'error="insufficient_scope", scope="{scope}"'
        raise ScopeMissing(f"This API token has no right to do this; it needs the scope {scope}.")
    return account


def _touch(token: ApiToken) -> None:
    now = utcnow()
    if token.used_at is not None and now - token.used_at < TOUCH_EVERY:
        return
    try:
        services().api_tokens.touch(token.id, now)
    except StoreUnavailable as error:  # the request itself may still succeed
        logger.warning("the use of a token was not recorded: %s", error)


def _challenge(response: Response) -> Response:
    """Add the header that asks for authentication (RFC 6750, section 3)."""
    if response.status_code in (401, 403) and scope_of_request() is not None:
        parts = ['realm="CatLoader"', g.get("bearer_error")]
        response.headers["WWW-Authenticate"] = "Bearer " + ", ".join(filter(None, parts))
    return response
