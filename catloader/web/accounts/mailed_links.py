"""Links sent by mail: to set a new password, and to confirm an e-mail address.

Without a mail server these pages do not exist.
"""

from __future__ import annotations

import logging

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import accounts
from catloader.errors import CatLoaderError, InvalidInput, LinkExpired, TooManyAttempts
from catloader.mail.account_mails import AccountMails
from catloader.store.db.engine import utcnow
from catloader.web.accounts.sessions import current_user, without_login
from catloader.web.http.context import guard, services
from catloader.web.http.errors import form_response
from catloader.web.languages import gettext, language

logger = logging.getLogger(__name__)
blueprint = Blueprint("mailed_links", __name__)


@blueprint.get("/forgotten-password")
@without_login
def forgotten() -> Response:
    mails()
    return _forgotten_page()


@blueprint.post("/forgotten-password")
@without_login
def send_link() -> Response:
    """Respond in the same way and after the same time, whether or not an account has the e-mail."""
    email = request.form.get("email", "")
    sender = mails()
    try:
        accounts.ask_for_mail(email, guard())
    except (InvalidInput, TooManyAttempts) as error:
        return _forgotten_page(error)
    sender.password_link(email, language())
    logger.info("a password link was asked for from %s", request.remote_addr)
    return _forgotten_page(sent_to=email)


@blueprint.get("/confirm-email/<token>")
def confirm_form(token: str) -> Response | str:
    """Show a button that confirms the address. The link alone does not: programs open links in mails, too.

    The page needs a log-in: the owner of an address must not confirm an account that a stranger made with it.
    """
    if not services().one_time_links.may_confirm(token, current_user().id, utcnow()):
        return _confirmed_already()
    return render_template("confirm_email.html", token=token)


@blueprint.post("/confirm-email/<token>")
def confirm(token: str) -> Response:
    if not services().one_time_links.confirm_email(token, current_user().id, utcnow()):
        return _confirmed_already()
    logger.info("user %d confirmed the e-mail", current_user().id)
    flash(gettext("Your e-mail address is confirmed."))
    return redirect(url_for("auth.account"), 303)


@blueprint.post("/account/email/confirm")
def ask_for_confirmation() -> Response:
    """Send another link to the account's own address."""
    user, sender = current_user(), mails()
    if user.email_confirmed_at is None:
        accounts.ask_for_mail(user.email, guard())
        sender.confirmation(user.email, language())
        flash(gettext("A link is on its way to %(email)s.", email=user.email))
    return redirect(url_for("auth.account"), 303)


def mails() -> AccountMails:
    sender = services().mails
    if sender is None:
        abort(404)
    return sender


def _forgotten_page(error: CatLoaderError | None = None, sent_to: str = "") -> Response:
    page = render_template(
        "forgotten_password.html",
        error=error,
        sent_to=sent_to,
        email=request.form.get("email", ""),
        minutes=services().settings.mail_link_minutes,
    )
    return form_response(page, error)


def _confirmed_already() -> Response:
    """Respond to a link that confirms nothing. Often the person opens it again after it has worked.

    Raises:
        LinkExpired: the address is not confirmed yet, so another link is needed.
    """
    user = services().users.by_id(current_user().id)  # a double click may have confirmed it meanwhile
    if user is None or user.email_confirmed_at is None:
        raise LinkExpired("This link has expired, has already been used, or belongs to another account.")
    flash(gettext("%(email)s is already confirmed.", email=user.email))
    return redirect(url_for("auth.account"), 303)
