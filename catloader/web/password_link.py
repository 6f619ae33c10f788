"""The page behind a one-time link: set a new password."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for

from catloader.errors import InvalidInput, LinkExpired
from catloader.passwords import hash_password
from catloader.store.db.engine import utcnow
from catloader.web.auth import Answer
from catloader.web.context import services
from catloader.web.languages import gettext
from catloader.web.sessions import without_login

logger = logging.getLogger(__name__)
blueprint = Blueprint("password_link", __name__, url_prefix="/new-password")


@blueprint.get("/<token>")
@without_login
def form(token: str) -> str:
    """Show the form. Programs that look at links do not use one up: only the form does."""
    return render_template("new_password.html", token=token, email=_email(token), error=None)


@blueprint.post("/<token>")
@without_login
def set_password(token: str) -> Answer:
    email = _email(token)
    try:
        password_hash = hash_password(request.form.get("password", ""), email=email)
    except InvalidInput as error:
        return render_template("new_password.html", token=token, email=email, error=error), error.status
    id = services().one_time_links.set_password(token, password_hash, utcnow())
    if id is None:
        raise _expired()
    logger.info("user %d set a new password by a link", id)
    flash(gettext("Password set. Log in with it."))
    return redirect(url_for("auth.login"), 303)


def _email(token: str) -> str:
    email = services().one_time_links.user_of_reset(token, utcnow())
    if email is None:
        raise _expired()
    return email


def _expired() -> LinkExpired:
    return LinkExpired("This link has expired, or it was used already. Ask for a new one.")
