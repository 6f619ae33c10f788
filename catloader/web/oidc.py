"""Log-in through a provider: redirect and callback. Without a configured provider both are 404."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, abort, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from catloader import accounts
from catloader.errors import InvalidInput
from catloader.oidc import log_in
from catloader.oidc.identity import Identity
from catloader.store.db.engine import utcnow
from catloader.store.db.users import User
from catloader.web import cookies, second_step
from catloader.web.auth import needed_invitation
from catloader.web.context import guard, services
from catloader.web.languages import gettext
from catloader.web.sessions import without_login
from catloader.web.signed import sign, unsign

if TYPE_CHECKING:
    from catloader.oidc.provider import Provider

logger = logging.getLogger(__name__)
blueprint = Blueprint("oidc", __name__, url_prefix="/login/oidc")

_PURPOSE, _FOR = "provider", timedelta(minutes=10)


@blueprint.get("")
@without_login
def begin() -> Response:
    """Redirect to the provider. A cookie keeps state, nonce and verifier: only this browser can return."""
    provider = _provider()
    _count()
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    url = provider.authorization_url(state, nonce, verifier)
    kept = [state, nonce, verifier, request.args.get("next", ""), request.args.get("invitation", "")]
    cookies.set_cookie(cookies.PROVIDER, sign(_PURPOSE, kept), _FOR)
    return redirect(url, 303)


@blueprint.get("/callback")
@without_login
def callback() -> Response:
    provider = _provider()
    _count()
    kept = unsign(_PURPOSE, cookies.read(cookies.PROVIDER) or "", int(_FOR.total_seconds()))
    cookies.delete_cookie(cookies.PROVIDER)
    state = request.args.get("state", "")
    sent = state.encode("utf-8", "surrogatepass")
    if kept is None or not hmac.compare_digest(sent, kept[0].encode()) or not _is_new(kept[0]):
        raise InvalidInput("This log-in had expired, or it began in another browser. Please begin again.")
    if "code" not in request.args:
        flash(gettext("You were not logged in through %(name)s.", name=provider.name))
        return redirect(url_for("auth.login"), 303)
    _, nonce, verifier, next_path, invitation = kept
    identity = provider.identity(request.args["code"], nonce, verifier)
    user = log_in.known_user(services().identities, services().users, identity, g.user, utcnow())
    if g.user is not None:
        flash(gettext("You can log in through %(name)s from now on.", name=provider.name))
        return redirect(url_for("auth.account"), 303)
    return second_step.begin(user or _sign_up(identity, invitation), next_path)


def _count() -> None:
    """Count an attempt of the network: each request may wait for the provider in one of few threads.

    Raises:
        TooManyAttempts: too many from this network.
    """
    attempt = guard()
    attempt.limits.begin_network(attempt.address, attempt.now)


def _is_new(state: str) -> bool:
    """Return True for the first use of a state, so that a copy of the cookie can't be used again."""
    return services().seen_ids.remember(f"state {hashlib.sha256(state.encode()).hexdigest()[:48]}", utcnow())


def _sign_up(identity: Identity, invitation: str) -> User:
    accounts.begin_sign_up(identity.email, guard())
    user = log_in.new_user(services().identities, identity, needed_invitation(invitation), utcnow())
    logger.info("user %d registered through the provider", user.id)
    return user


def _provider() -> Provider:
    provider = services().provider
    if provider is None:
        abort(404)
    return provider
