"""The page behind a one-time link: set a new password."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for

from catloader.accounts.passwords import hash_password
from catloader.errors import InvalidInput, LinkExpired, TooManyAttempts
from catloader.mail.account_mails import PASSWORD_CHANGED
from catloader.store.db.engine import utcnow
from catloader.web.accounts.auth import ViewResult
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import without_login
from catloader.web.http.context import guard, services
from catloader.web.http.errors import form_response
from catloader.web.languages import gettext

logger = logging.getLogger(__name__)
blueprint = Blueprint("password_link", __name__, url_prefix="/new-password")


@blueprint.get("/<token>")
@without_login
def form(token: str) -> str:
    """Show the form. Only sending it uses up the link: some programs open all links in a mail."""
    return render_template("new_password.html", token=token, email=_email(token), error=None)


@blueprint.post("/<token>")
@without_login
def set_password(token: str) -> ViewResult:
    email, attempt = _email(token), guard()
    try:
        attempt.limits.begin_network(attempt.address, attempt.now)  # each attempt costs a password hash
        password_hash = hash_password(request.form.get("password", ""), email=email)
    except (InvalidInput, TooManyAttempts) as error:
        page = render_template("new_password.html", token=token, email=email, error=error)
        return form_response(page, error)
    id = services().one_time_links.set_password(token, password_hash, utcnow())
    if id is None:
        raise _expired()
    logger.info("user %d set a new password by a link", id)
    if (user := services().users.by_id(id)) is not None:
        notify_of(PASSWORD_CHANGED, user)
    flash(gettext("Password set. Log in with it."))
    return redirect(url_for("auth.login"), 303)


def _email(token: str) -> str:
    email = services().one_time_links.user_of_reset(token, utcnow())
    if email is None:
        raise _expired()
    return email


def _expired() -> LinkExpired:
    if services().mails is not None:  # the error page links to the form for another mail
        return LinkExpired("This link has expired or has already been used.")
    return LinkExpired("This link has expired or has already been used. Ask the administrator for a new one.")
