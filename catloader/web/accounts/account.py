"""More of the account page: change the e-mail, choose notices, end sessions, export all photos."""

from __future__ import annotations

import logging
import re
import threading

from flask import Blueprint, Flask, Response, current_app, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from catloader.accounts import accounts
from catloader.accounts.export import ExportedAccount, zip_of
from catloader.errors import (
    ExportBusy,
    InvalidInput,
    NotFound,
    StoreUnavailable,
    TooManyAttempts,
    WrongCredentials,
)
from catloader.mail.account_mails import EMAIL_CHANGED
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.refusals import refuses_one
from catloader.store.s3.unaltered import get_unaltered
from catloader.web.accounts.auth import ViewResult, account_page, confirm_by_mail
from catloader.web.accounts.mailed_links import mails
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import current_user, sign_out
from catloader.web.http.context import PHOTO_NOT_FOUND, guard, services
from catloader.web.http.forms import ticked
from catloader.web.languages import gettext, language
from catloader.web.uploads.admission import uses_object_store

logger = logging.getLogger(__name__)
blueprint = Blueprint("account", __name__, url_prefix="/account")

_MOST_CHECKS = 1000
"""Maximum number of attempts that an export contains for one photo."""
_EXPORTING = "catloader.exporting"
_SHA256 = re.compile("[0-9a-f]{64}")


def init_app(app: Flask) -> None:
    # An export occupies a request thread while it is sent. One at a time leaves the other threads free.
    app.extensions[_EXPORTING] = threading.BoundedSemaphore(1)


@blueprint.post("/email")
def change_email() -> ViewResult:
    user = current_user()
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        accounts.change_email(services().users, user, email, password, guard())
    except (WrongCredentials, InvalidInput, TooManyAttempts) as error:
        return account_page(error, at="email", email=email)
    logger.info("user %d changed the e-mail", user.id)
    notify_of(EMAIL_CHANGED, user)
    confirm_by_mail(email)
    flash(gettext("E-mail changed. Use the new one when you log in."))
    return redirect(url_for("auth.account"), 303)


@blueprint.post("/notices")
def choose_notices() -> BaseResponse:
    """Choose whether to get mails about reviewers' decisions; an unconfirmed address gets none.

    If the account has no language yet, store the language of this request. The mails are written during a
    reviewer's request, which does not reveal the owner's language.
    """
    mails()
    user, wanted = current_user(), ticked("wanted")
    services().users.set_notices(user.id, wanted=wanted)
    if wanted and user.language is None:
        services().users.set_language(user.id, language())
    flash(gettext("Your choice is saved."))
    return redirect(url_for("auth.account") + "#notices", 303)


@blueprint.post("/sessions/end")
def end_session() -> BaseResponse:
    """Log out one browser of this account; without ``session``, log out all of them, including this one."""
    user, session_digest = current_user(), request.form.get("session")
    if session_digest is None:
        services().sessions.end_all(user.id)
        logger.info("user %d logged out everywhere", user.id)
        sign_out()
        flash(gettext("You are logged out on all devices."))
        return redirect(url_for("gallery.landing"), 303)
    if session_digest == g.session.token_sha256:
        sign_out()
        flash(gettext("You are logged out."))
        return redirect(url_for("gallery.landing"), 303)
    if _SHA256.fullmatch(session_digest) and services().sessions.end_one(user.id, session_digest):
        flash(gettext("That device is logged out."))
    return redirect(url_for("auth.account") + "#sessions", 303)


def _stored(objects: ObjectStore, photo: Photo) -> bytes:
    """Return the photo; a single object that the store refuses counts as missing.

    Raises:
        NotFound, ObjectAltered, StoreUnavailable: as for ``get_unaltered``.
    """
    try:
        return get_unaltered(objects, ObjectKind.PHOTO, photo.photo_key, photo.sha256)
    except StoreUnavailable as error:
        if not refuses_one(objects, photo.photo_key, error):
            raise
        logger.error("an export lacks photo %d: %s", photo.id, error)
        raise NotFound(PHOTO_NOT_FOUND) from error


@blueprint.get("/export")
@uses_object_store
def export() -> Response:
    """Send a zip file of the user's photos and their verdicts. It is built while it is sent."""
    exporting: threading.BoundedSemaphore = current_app.extensions[_EXPORTING]
    if not exporting.acquire(blocking=False):
        raise ExportBusy("Another export is being made. Please try again in a minute.")
    user, parts = current_user(), services()
    account = ExportedAccount(user.email, user.created_at.isoformat())
    pieces = zip_of(
        account,
        lambda: parts.gallery.all_of(user.id),
        lambda photo: _stored(parts.objects, photo),
        lambda id: parts.check_log.of_photo(id, _MOST_CHECKS),
        lambda id: (parts.reviews.appeals_of(id), parts.reviews.of_photo(id)),
    )
    logger.info("user %d exports the account", user.id)
    response = Response(pieces, mimetype="application/zip")
    response.call_on_close(exporting.release)  # also if the body is never read, as for HEAD
    name = f"catloader-{utcnow():%Y-%m-%d}.zip"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
