"""The page of the account's second factor: set it up, show its recovery codes once, remove it."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import accounts, second_factor
from catloader.errors import CatLoaderError, InvalidInput, TooManyAttempts, WrongCredentials
from catloader.mail.account_mails import FACTOR_ADDED, FACTOR_REMOVED
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import guard, services
from catloader.web.http.errors import form_response
from catloader.web.http.signed import sign, unsign
from catloader.web.languages import gettext

logger = logging.getLogger(__name__)
blueprint = Blueprint("second_factor_pages", __name__, url_prefix="/account/second-factor")

_PURPOSE, _FOR_S = "new second factor", 3600


@blueprint.get("")
def page() -> Response:
    return _page()


@blueprint.post("")
def set_up() -> Response:
    """Store the factor and show its recovery codes. They are never shown again."""
    user, password = current_user(), request.form.get("password", "")
    factors, secret = services().second_factors, _given_secret()
    try:
        if secret is None:
            accounts.confirm(user, password, guard())
            raise InvalidInput("This form has expired. Please scan the new code.")
        code = request.form.get("code", "")
        codes = second_factor.set_up(factors, user, guard(), secret=secret, code=code, password=password)
    except (WrongCredentials, InvalidInput, TooManyAttempts) as error:
        return _page(error, secret)
    logger.info("user %d set up a second factor", user.id)
    notify_of(FACTOR_ADDED, user)
    return make_response(render_template("recovery_codes.html", codes=codes))


@blueprint.post("/remove")
def remove() -> Response:
    user = current_user()
    try:
        accounts.confirm(user, request.form.get("password", ""), guard())
    except (WrongCredentials, TooManyAttempts) as error:
        return _page(error)
    if services().second_factors.remove(user.id):
        logger.info("user %d removed the second factor", user.id)
        notify_of(FACTOR_REMOVED, user)
    flash(gettext("The second factor is removed. Your password is enough to log in."))
    return redirect(url_for("auth.account"), 303)


def _given_secret() -> str | None:
    value = unsign(_PURPOSE, request.form.get("setup", ""), _FOR_S)
    return value[1] if value and value[0] == current_user().id else None


def _page(error: CatLoaderError | None = None, secret: str | None = None) -> Response:
    user = current_user()
    factor = services().second_factors.of(user.id)
    secret = secret or second_factor.new_secret()
    page = render_template(
        "second_factor.html",
        error=error,
        asks_password=isinstance(error, WrongCredentials),
        factor=factor,
        secret=secret,
        qr_code=None if factor else second_factor.qr_code(second_factor.address(secret, user.email)),
        setup=sign(_PURPOSE, [user.id, secret]),
    )
    return form_response(page, error, is_logged_in=True)
