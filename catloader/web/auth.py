"""Register, log in, log out, change the password, leave."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader import accounts
from catloader.errors import CatLoaderError, InvalidInput, WrongCredentials
from catloader.web.context import now, services
from catloader.web.sessions import current_user, public, sign_in, sign_out

logger = logging.getLogger(__name__)
blueprint = Blueprint("auth", __name__)

Answer = Response | str | tuple[str, int]


@blueprint.get("/register")
@public
def register() -> Answer:
    return _home() if g.user else _form("register.html")


@blueprint.post("/register")
@public
def do_register() -> Answer:
    try:
        user = accounts.register(services().users, _field("email"), _field("password"), now())
    except InvalidInput as error:
        return _form("register.html", error)
    logger.info("user %d registered", user.id)
    sign_in(user)
    flash("Welcome! Your account is ready.")
    return redirect(url_for("uploads.form"), 303)


@blueprint.get("/login")
@public
def login() -> Answer:
    return _home() if g.user else _form("login.html")


@blueprint.post("/login")
@public
def do_login() -> Answer:
    try:
        user = accounts.authenticate(services().users, _field("email"), _field("password"))
    except WrongCredentials as error:
        logger.info("a log-in from %s failed", request.remote_addr)
        return _form("login.html", error)
    logger.info("user %d logged in", user.id)
    sign_in(user)
    return redirect(_inside(request.values.get("next")), 303)


@blueprint.post("/logout")
@public
def logout() -> Answer:
    sign_out()
    flash("You are logged out.")
    return redirect(url_for("gallery.landing"), 303)


@blueprint.get("/account")
def account() -> Answer:
    return _account()


@blueprint.post("/account/password")
def change_password() -> Answer:
    user = current_user()
    try:
        changed = accounts.change_password(
            services().users, user, _field("old_password"), _field("new_password")
        )
    except (WrongCredentials, InvalidInput) as error:
        return _account(error, at="password")
    logger.info("user %d changed the password", user.id)
    sign_in(changed)
    flash("Your password is changed. Everywhere else you are logged out.")
    return redirect(url_for(".account"), 303)


@blueprint.post("/account/delete")
def delete_account() -> Answer:
    user, settings = current_user(), services().settings
    try:
        photos = accounts.delete_account(
            services().users,
            user,
            _field("password"),
            now(),
            photos_bucket=settings.s3_photos_bucket,
            thumbnails_bucket=settings.s3_thumbnails_bucket,
        )
    except WrongCredentials as error:
        return _account(error, at="delete")
    services().deletion.wake()
    logger.info("user %d deleted the account and its %d photos", user.id, photos)
    sign_out()
    flash("Your account is deleted, with all its photos.")
    return redirect(url_for("gallery.landing"), 303)


def _field(name: str) -> str:
    return request.form.get(name, "")


def _form(template: str, error: CatLoaderError | None = None) -> Answer:
    back = request.values.get("next", "")
    page = render_template(template, error=error, email=_field("email"), next=back)
    return (page, error.status) if error else page


def _account(error: CatLoaderError | None = None, at: str | None = None) -> Answer:
    photos = sum(services().photos.count_by_status(current_user().id).values())
    page = render_template("account.html", error=error, at=at, photos=photos)
    # 403, not the error's 401: who asks is logged in; it is this one wish that is refused.
    status = 403 if isinstance(error, WrongCredentials) else error.status if error else 200
    return page, status


def _home() -> Response:
    return redirect(_inside(request.args.get("next")), 303)


def _inside(target: str | None) -> str:
    """``target`` if it is a path of this site, else My photos."""
    is_path = target and target.startswith("/") and not target.startswith("//")
    if target and is_path and target.isprintable() and "\\" not in target:
        return target
    return url_for("gallery.photos")
