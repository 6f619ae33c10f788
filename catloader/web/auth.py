"""Pages for the account: create it, log in and out, change the password, delete it."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader import accounts
from catloader.errors import CatLoaderError, InvalidInput, WrongCredentials
from catloader.store.db.engine import utcnow
from catloader.web.context import services
from catloader.web.labels import counted
from catloader.web.sessions import current_user, sign_in, sign_out, without_login

logger = logging.getLogger(__name__)
blueprint = Blueprint("auth", __name__)

Answer = Response | str | tuple[str, int]


@blueprint.get("/register")
@without_login
def register() -> Answer:
    return _redirect_home() if g.user else _form_page("register.html")


@blueprint.post("/register")
@without_login
def do_register() -> Answer:
    try:
        user = accounts.register(services().users, _field("email"), _field("password"), utcnow())
    except InvalidInput as error:
        return _form_page("register.html", error)
    logger.info("user %d registered", user.id)
    sign_in(user)
    flash("Welcome! Your account is ready.")
    return redirect(url_for("uploads.form"), 303)


@blueprint.get("/login")
@without_login
def login() -> Answer:
    return _redirect_home() if g.user else _form_page("login.html")


@blueprint.post("/login")
@without_login
def do_login() -> Answer:
    try:
        user = accounts.authenticate(services().users, _field("email"), _field("password"))
    except WrongCredentials as error:
        logger.info("a log-in from %s failed", request.remote_addr)
        return _form_page("login.html", error)
    logger.info("user %d logged in", user.id)
    sign_in(user)
    return redirect(_local_path(request.values.get("next")), 303)


@blueprint.post("/logout")
@without_login
def logout() -> Answer:
    sign_out()
    flash("You are logged out.")
    return redirect(url_for("gallery.landing"), 303)


@blueprint.get("/account")
def account() -> Answer:
    return _account_page()


@blueprint.post("/account/password")
def change_password() -> Answer:
    user = current_user()
    try:
        changed = accounts.change_password(
            services().users, user, _field("old_password"), _field("new_password")
        )
    except (WrongCredentials, InvalidInput) as error:
        return _account_page(error, at="password")
    logger.info("user %d changed the password", user.id)
    sign_in(changed)
    flash("Password changed. You were logged out on other devices.")
    return redirect(url_for(".account"), 303)


@blueprint.post("/account/delete")
def delete_account() -> Answer:
    user = current_user()
    try:
        photos = accounts.delete_account(services().users, user, _field("password"), utcnow())
    except WrongCredentials as error:
        return _account_page(error, at="delete")
    services().deletion.wake()
    logger.info("user %d deleted the account and its %s", user.id, counted(photos, "photo"))
    sign_out()
    flash("Your account and photos were deleted.")
    return redirect(url_for("gallery.landing"), 303)


def _field(name: str) -> str:
    return request.form.get(name, "")


def _form_page(template: str, error: CatLoaderError | None = None) -> Answer:
    next_path = request.values.get("next", "")
    page = render_template(template, error=error, email=_field("email"), next=next_path)
    return (page, error.status) if error else page


def _account_page(error: CatLoaderError | None = None, at: str | None = None) -> Answer:
    photos = sum(services().photos.count_by_status(current_user().id).values())
    page = render_template("account.html", error=error, at=at, photos=photos)
    # 403, not the error's 401: the user is logged in, and only this request is refused.
    status = 403 if isinstance(error, WrongCredentials) else error.status if error else 200
    return page, status


def _redirect_home() -> Response:
    return redirect(_local_path(request.args.get("next")), 303)


def _local_path(target: str | None) -> str:
    """Return ``target`` if it is a path of this site, else the address of My photos."""
    is_path = target and target.startswith("/") and not target.startswith("//")
    if target and is_path and target.isprintable() and "\\" not in target:
        return target
    return url_for("gallery.photos")
