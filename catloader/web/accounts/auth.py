"""Pages for the account: create it, log in and out, change the password, delete it."""

from __future__ import annotations

import contextlib
import logging

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import accounts
from catloader.errors import (
    CatLoaderError,
    FormRefused,
    InvalidInput,
    RegistrationClosed,
    TooManyAttempts,
    WrongCredentials,
)
from catloader.mail.account_mails import PASSWORD_CHANGED
from catloader.store.db.accounts.sessions import new_token
from catloader.store.db.accounts.token_digest import token_digest
from catloader.store.db.engine import utcnow
from catloader.web.accounts import second_step
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.receipts import receipt_page
from catloader.web.accounts.sessions import (
    browser_here,
    current_user,
    sign_in_again,
    sign_out,
    use_token,
    without_login,
)
from catloader.web.http import forms
from catloader.web.http.context import guard, local_path, services, wants_json
from catloader.web.http.errors import form_refused, form_response
from catloader.web.languages import gettext, language
from checker.plurals import counted

logger = logging.getLogger(__name__)
blueprint = Blueprint("auth", __name__)

ViewResult = Response | str | tuple[str | Response, int]


@blueprint.get("/register")
@without_login
def register() -> ViewResult:
    if g.user:
        return _redirect_home()
    _invitation()
    return _form_page("register.html")


@blueprint.post("/register")
@without_login
def do_register() -> ViewResult:
    """Respond in the same way whether or not the e-mail is registered; only the next page differs."""
    try:
        invitation = _invitation()
        token, id = accounts.sign_up(
            services().sign_ups,
            _field("email"),
            _field("password"),
            guard(),
            browser=browser_here(),
            invitation=invitation,
        )
    except (InvalidInput, TooManyAttempts) as error:
        return _form_page("register.html", error)
    confirm_by_mail(_field("email"), is_new=id is not None)
    logger.info("a sign-up with an e-mail that is registered" if id is None else f"user {id} registered")
    use_token(token)
    return redirect(url_for("uploads.form", welcome=1), 303)


@blueprint.get("/login")
@without_login
def login() -> ViewResult:
    return _redirect_home() if g.user else _form_page("login.html")


@blueprint.post("/login")
@without_login
def do_login() -> ViewResult:
    try:
        user = accounts.authenticate(services().users, _field("email"), _field("password"), guard())
    except (WrongCredentials, TooManyAttempts) as error:
        logger.info("a log-in from %s failed", request.remote_addr)
        return _form_page("login.html", error)
    logger.info("user %d gave the password", user.id)
    return second_step.begin(user, request.values.get("next", ""))


@blueprint.errorhandler(FormRefused)
def form_again(error: FormRefused) -> ViewResult:
    """Show an expired log-in or sign-up form again, with a new token and the typed values.

    Other forms get the error page.
    """
    template = {"auth.do_login": "login.html", "auth.do_register": "register.html"}.get(
        request.endpoint or ""
    )
    if template is None or wants_json() or not error.expired:
        return form_refused(error)
    if error.message == forms.NO_COOKIE:
        return _form_page(template, error)
    return _form_page(template, InvalidInput("This form has expired. Please send it again."))


@blueprint.post("/logout")
@without_login
def logout() -> ViewResult:
    sign_out()
    flash(gettext("You are logged out."))
    return redirect(url_for("gallery.landing"), 303)


@blueprint.get("/account")
def account() -> ViewResult:
    return account_page()


@blueprint.get("/account/email")
@blueprint.get("/account/password")
@blueprint.get("/account/delete")
def form_of_account() -> Response:
    """Redirect to a form of the account page. After an error, the browser shows the form's own address."""
    form = request.path.rpartition("/")[2]
    return redirect(f"{url_for('.account')}#{form}", 303)


@blueprint.post("/account/password")
def change_password() -> ViewResult:
    user = current_user()
    try:
        old, new = _field("old_password"), _field("new_password")
        user = accounts.change_password(services().users, user, old, new, guard())
    except (WrongCredentials, InvalidInput, TooManyAttempts) as error:
        return account_page(error, at="password")
    logger.info("user %d changed the password", user.id)
    notify_of(PASSWORD_CHANGED, user)
    sign_in_again(user)
    flash(gettext("Password changed. You were logged out on other devices."))
    return redirect(url_for(".account"), 303)


@blueprint.post("/account/delete")
def delete_account() -> ViewResult:
    user, token = current_user(), new_token()
    try:
        photos = accounts.delete_account(
            services().users, user, _field("password"), guard(), receipt=token_digest(token)
        )
    except (WrongCredentials, TooManyAttempts) as error:
        return account_page(error, at="delete")
    services().deletion.wake()
    services().partial_uploads.delete_all(user.id)
    logger.info("user %d deleted the account and its %s", user.id, counted(photos, "photo"))
    sign_out()
    g.was_ended = True  # the receipt's script deletes the photos that wait in this browser
    return receipt_page(token, user.email)


def _invitation() -> str | None:
    return needed_invitation(request.values.get("invitation", ""))


def needed_invitation(invitation: str) -> str | None:
    """Return the invitation if the site requires one, else None.

    Raises:
        RegistrationClosed: the site takes no new accounts, or the invitation is not valid.
    """
    mode = services().settings.registration
    if mode == "open":
        return None
    if mode == "closed":
        raise RegistrationClosed("This site does not accept new accounts.")
    if not services().one_time_links.is_invitation(invitation, utcnow()):
        raise RegistrationClosed("You need a valid invitation. Ask the administrator of this site.")
    return invitation


def confirm_by_mail(email: str, *, is_new: bool = True) -> None:
    """Send a mail to the address that a person typed, unless it got too many; the page does not reveal that.

    Args:
        is_new: False if an account has the address already. The mail says so.
    """
    mails = services().mails
    if mails is not None:
        with contextlib.suppress(TooManyAttempts):
            accounts.ask_for_mail(email, guard())
            (mails.confirmation if is_new else mails.known)(email, language())


def _field(name: str) -> str:
    return request.form.get(name, "")


def _form_page(template: str, error: CatLoaderError | None = None) -> ViewResult:
    next_path = request.values.get("next", "")
    page = render_template(
        template,
        error=error,
        email=_field("email"),
        next=next_path,
        invitation=request.values.get("invitation", ""),
    )
    return form_response(page, error)


def account_page(error: CatLoaderError | None = None, at: str | None = None, email: str = "") -> ViewResult:
    """Return the account page; ``at`` names the form that ``error`` belongs to."""
    page = render_template(
        "account.html",
        error=error,
        at=at,
        used=services().usage.of(current_user().id),
        quota=services().quotas.of(current_user().id),
        email=email,
        provider=services().provider,
        is_linked=_is_linked(),
        has_second_factor=services().second_factors.of(current_user().id) is not None,
        sessions=services().sessions.of_user(current_user().id, utcnow()),
        this_session=g.session.token_sha256,
    )
    return form_response(page, error, is_logged_in=True)


def _is_linked() -> bool:
    provider = services().provider
    return provider is not None and services().identities.is_linked(provider.issuer, current_user().id)


def _redirect_home() -> Response:
    return redirect(local_path(request.args.get("next")), 303)
