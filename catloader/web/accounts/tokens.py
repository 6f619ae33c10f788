"""The page of API tokens: make a token (shown once), list tokens, revoke them."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import accounts, api_tokens
from catloader.errors import CatLoaderError, InvalidInput, NotFound, TooManyAttempts, WrongCredentials
from catloader.languages import gettext_noop
from catloader.mail.account_mails import TOKEN_CREATED
from catloader.store.db.engine import utcnow
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_ID, guard, services
from catloader.web.http.errors import form_response
from catloader.web.languages import gettext

logger = logging.getLogger(__name__)
blueprint = Blueprint("tokens", __name__, url_prefix="/account/tokens")

LIFETIMES = {
    "30": gettext_noop("30 days"),
    "90": gettext_noop("90 days"),
    "365": gettext_noop("A year"),
    "": gettext_noop("Never"),
}


@blueprint.get("")
def page() -> str:
    return _page()


@blueprint.post("")
def create() -> Response:
    """Make a token and show it. The form asks for the password, in case a session was left open."""
    user = current_user()
    try:
        accounts.confirm(user, request.form.get("password", ""), guard())
        token = api_tokens.create(
            services().api_tokens,
            user.id,
            request.form.get("name", ""),
            request.form.getlist("scope"),
            days=_days(request.form.get("days", "")),
            secret=services().secret_key,
            now=utcnow(),
        )
    except (WrongCredentials, InvalidInput, TooManyAttempts) as error:
        return form_response(_page(error), error, is_logged_in=True)
    logger.info("user %d made an API token", user.id)
    notify_of(TOKEN_CREATED, user)
    return make_response(_page(token=token), 201)


@blueprint.post(f"/<int(max={MAX_ID}):id>/revoke")
def revoke(id: int) -> Response:
    user = current_user()
    if not services().api_tokens.revoke(id, user.id):
        raise NotFound("There is no such token. It may already have been revoked.")
    logger.info("user %d revoked API token %d", user.id, id)
    flash(gettext("Token revoked. Programs that used it are locked out from now on."))
    return redirect(url_for(".page"), 303)


def _days(text: str) -> int | None:
    if text not in LIFETIMES:
        raise InvalidInput("Choose how long the token is valid.")
    return int(text) if text else None


def _page(error: CatLoaderError | None = None, token: str | None = None) -> str:
    return render_template(
        "tokens.html",
        error=error,
        token=token,
        tokens=services().api_tokens.of_user(current_user().id),
        meanings=api_tokens.MEANINGS,
        lifetimes=LIFETIMES,
        selected=request.form.getlist("scope") if error else [api_tokens.Scope.READ],
        now=utcnow(),
    )
