"""The page of passkeys, and the log-in with a passkey. Both need the script ``passkeys.js``."""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import accounts, passkeys
from catloader.errors import CatLoaderError, InvalidInput, NotFound, TooManyAttempts, WrongCredentials
from catloader.mail.account_mails import PASSKEY_ADDED, PASSKEY_REMOVED
from catloader.store.db.engine import utcnow
from catloader.texts import ascii_domain
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import current_user, sign_in, without_login
from catloader.web.http import cookies
from catloader.web.http.context import MAX_ID, guard, local_path, services
from catloader.web.http.errors import form_response
from catloader.web.http.signed import sign, unsign
from catloader.web.languages import gettext, translated

logger = logging.getLogger(__name__)
blueprint = Blueprint("passkeys", __name__)

_FOR_S = 300
_NEW, _LOG_IN = "new passkey", "log-in with a passkey"


@blueprint.get("/account/passkeys")
def page() -> str:
    return render_template("passkeys.html", passkeys=services().passkeys.of_user(current_user().id))


@blueprint.post("/account/passkeys/options")
def registration_options() -> Response:
    """Begin a registration. It asks for the password, in case somebody uses a session that was left open."""
    user = current_user()
    try:
        accounts.confirm(user, request.form.get("password", ""), guard())
        options, challenge = passkeys.registration_options(
            services().passkeys, user, _site(), services().secret_key
        )
    except (WrongCredentials, InvalidInput, TooManyAttempts) as error:
        return _refusal(error)
    return jsonify(options=options, challenge=_signed(f"{_NEW} {user.id}", challenge))


@blueprint.post("/account/passkeys")
def register() -> Response:
    user, credential = current_user(), request.form.get("credential", "")
    try:
        challenge = _used(f"{_NEW} {user.id}")
        name = request.form.get("name", "")
        passkeys.register(services().passkeys, user, _site(), challenge, credential, name=name, now=utcnow())
    except (WrongCredentials, InvalidInput) as error:
        return _refusal(error)
    logger.info("user %d registered a passkey", user.id)
    notify_of(PASSKEY_ADDED, user)
    flash(gettext("The passkey is registered. You can log in with it."))
    return jsonify(location=url_for(".page"))


@blueprint.post(f"/account/passkeys/<int(max={MAX_ID}):id>/name")
def rename(id: int) -> Response:
    name = passkeys.clean_name(request.form.get("name", ""))
    if not name:
        raise InvalidInput("A passkey needs a name.")
    if not services().passkeys.rename(id, current_user().id, name):
        raise NotFound("There is no such passkey. It may already have been removed.")
    flash(gettext("The passkey has a new name."))
    return redirect(url_for(".page"), 303)


@blueprint.post(f"/account/passkeys/<int(max={MAX_ID}):id>/remove")
def remove(id: int) -> Response:
    if not services().passkeys.remove(id, current_user().id):
        raise NotFound("There is no such passkey. It may already have been removed.")
    logger.info("user %d removed a passkey", current_user().id)
    notify_of(PASSKEY_REMOVED, current_user())
    flash(gettext("The passkey is removed. Delete it on your device, too."))
    return redirect(url_for(".page"), 303)


@blueprint.post("/login/passkey/options")
@without_login
def log_in_options() -> Response:
    options, challenge = passkeys.log_in_options(_site())
    return jsonify(options=options, challenge=_signed(_LOG_IN, challenge))


@blueprint.post("/login/passkey")
@without_login
def log_in() -> Response:
    """Begin a session. No second step follows, because the device has verified the person."""
    try:
        guard().limits.begin_network(guard().address, utcnow())
        challenge, credential = _used(_LOG_IN), request.form.get("credential", "")
        user = passkeys.authenticate(services().passkeys, _site(), challenge, credential, utcnow())
    except (WrongCredentials, TooManyAttempts) as error:
        logger.info("a log-in with a passkey from %s failed", request.remote_addr)
        return _refusal(error)
    logger.info("user %d logged in with a passkey", user.id)
    cookies.delete_cookie(cookies.FIRST_STEP)
    sign_in(user)
    return jsonify(location=local_path(request.form.get("next")))


def _site() -> passkeys.Site:
    """Return the host name and origin under which this browser knows the site.

    Browsers compare both with the host in ASCII and lower case, and omit the usual port of the scheme.
    """
    url = urlsplit(services().settings.public_url or f"{request.scheme}://{request.host}")
    host = ascii_domain(url.hostname or "")
    port = "" if url.port in (None, {"http": 80, "https": 443}.get(url.scheme)) else f":{url.port}"
    return passkeys.Site(host, f"{url.scheme}://{host}{port}")


def _signed(purpose: str, challenge: bytes) -> str:
    return sign(purpose, base64.b64encode(challenge).decode())


def _used(purpose: str) -> bytes:
    """Return the challenge in the request, and mark it as used.

    Raises:
        WrongCredentials: this site did not make the challenge for this purpose, it is older than five
            minutes, or it was used before.
    """
    value: Any = unsign(purpose, request.form.get("challenge", ""), _FOR_S)
    challenge = base64.b64decode(value) if value else b""
    id = f"passkey {hashlib.sha256(challenge).hexdigest()[:48]}"
    if not challenge or not services().seen_ids.remember(id, utcnow()):
        raise WrongCredentials("This took too long. Please try again.")
    return challenge


def _refusal(error: CatLoaderError) -> Response:
    # A refused log-in gets 403, too: 401 would ask for a log-in, which is what has just failed.
    return form_response(jsonify(error=translated(error)), error, is_logged_in=True)
