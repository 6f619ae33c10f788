"""The second step of a log-in, after the password. The session begins only after this step."""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import second_factor
from catloader.errors import CatLoaderError, TooManyAttempts, WrongCredentials
from catloader.store.db.accounts.users import User
from catloader.web.accounts.sessions import sign_in, without_login
from catloader.web.http import cookies
from catloader.web.http.context import guard, local_path, services
from catloader.web.http.errors import form_response
from catloader.web.http.signed import sign, unsign
from catloader.web.languages import gettext

logger = logging.getLogger(__name__)
blueprint = Blueprint("second_step", __name__)

_FOR = timedelta(minutes=10)
_PURPOSE = "first step"


def begin(user: User, next_path: str) -> Response:
    """Continue after the first step: with the second step if the account has one, else begin the session."""
    if services().second_factors.of(user.id) is None:
        sign_in(user)
        return redirect(local_path(next_path), 303)
    cookies.set_cookie(cookies.FIRST_STEP, sign(_PURPOSE, [user.id, _version(user)]), _FOR)
    return redirect(url_for("second_step.form", next=next_path or None), 303)


@blueprint.get("/login/second-step")
@without_login
def form() -> Response:
    if g.user:
        return redirect(local_path(request.args.get("next")), 303)
    return _page() if user_of_first_step() else _from_the_beginning()


@blueprint.post("/login/second-step")
@without_login
def submit() -> Response:
    user = user_of_first_step()
    if user is None:
        return _from_the_beginning()
    try:
        second_factor.accept_code(services().second_factors, user, request.form.get("code", ""), guard())
    except (WrongCredentials, TooManyAttempts) as error:
        logger.info("the second step of a log-in from %s failed", request.remote_addr)
        return _page(error)
    return finish(user)


def finish(user: User) -> Response:
    """Begin the session after both steps."""
    logger.info("user %d logged in with a second factor", user.id)
    cookies.delete_cookie(cookies.FIRST_STEP)
    sign_in(user)
    return redirect(local_path(request.values.get("next")), 303)


def user_of_first_step() -> User | None:
    """Return the account whose password this browser gave recently, or None.

    None also if the account was disabled or its password changed meanwhile.
    """
    value = unsign(_PURPOSE, cookies.read(cookies.FIRST_STEP) or "", int(_FOR.total_seconds()))
    user = services().users.by_id(value[0]) if value else None
    is_valid = user is not None and user.disabled_at is None and value[1] == _version(user)
    return user if is_valid else None


def _version(user: User) -> str:
    """Return a text that changes with the password."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()


def _from_the_beginning() -> Response:
    flash(gettext("Please log in first."))
    return redirect(url_for("auth.login", next=request.values.get("next")), 303)


def _page(error: CatLoaderError | None = None) -> Response:
    page = render_template("second_step.html", error=error, next=request.values.get("next", ""))
    return form_response(page, error)
