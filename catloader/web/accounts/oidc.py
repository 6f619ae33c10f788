"""Log-in through a provider: redirect and callback; link and unlink an account.

If no provider is configured, all these addresses respond with 404.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Flask, abort, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts import accounts
from catloader.errors import InvalidInput, TooManyAttempts, WrongCredentials
from catloader.mail.account_mails import PROVIDER_LINKED, PROVIDER_UNLINKED
from catloader.oidc import log_in
from catloader.oidc.identity import Identity
from catloader.store.db.accounts.users import User
from catloader.store.db.engine import utcnow
from catloader.texts import ascii_domain
from catloader.web.accounts import second_step
from catloader.web.accounts.auth import ViewResult, account_page, needed_invitation
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import current_user, sign_in_again, without_login
from catloader.web.http import cookies
from catloader.web.http.context import full_address, guard, host_name, services
from catloader.web.http.signed import sign, unsign
from catloader.web.languages import gettext

if TYPE_CHECKING:
    from catloader.oidc.provider import Provider

logger = logging.getLogger(__name__)
blueprint = Blueprint("oidc", __name__)

_PURPOSE, _FOR = "provider", timedelta(minutes=10)
_LINK, _LINK_FOR_S = "link with the provider", 3600


def init_app(app: Flask) -> None:
    app.add_template_filter(link_request)


def link_request(user: User) -> str:
    """Return the value of the parameter ``link`` with which the account page begins to link this account.

    Another site can send the browser of a logged-in user to ``begin``, but it can't make this value. A form
    with a token can't be used instead: browsers block its redirect to the provider (``form-action``).
    """
    return sign(_LINK, user.id)


@blueprint.get("/login/oidc")
@without_login
def begin() -> Response:
    """Redirect to the provider. A cookie holds state, nonce and verifier, so only this browser can return."""
    provider = _provider()
    if g.user is not None and unsign(_LINK, request.args.get("link", ""), _LINK_FOR_S) != g.user.id:
        return redirect(url_for("auth.account") + "#provider", 303)
    if g.user is None and _is_elsewhere() and "moved" not in request.args:
        used = {name: request.args.get(name) for name in ("next", "invitation")}
        return redirect(full_address(".begin", **used, moved=1), 303)
    _count()
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    url = provider.authorization_url(state, nonce, verifier)
    values = [state, nonce, verifier, request.args.get("next", ""), request.args.get("invitation", "")]
    cookies.set_cookie(cookies.PROVIDER, sign(_PURPOSE, [*values, g.user and g.user.id]), _FOR)
    return redirect(url, 303)


@blueprint.get("/login/oidc/callback")
@without_login
def callback() -> Response:
    provider = _provider()
    _count()
    values = unsign(_PURPOSE, cookies.read(cookies.PROVIDER) or "", int(_FOR.total_seconds()))
    cookies.delete_cookie(cookies.PROVIDER)
    state = request.args.get("state", "").encode("utf-8", "surrogatepass")
    if values is None or not hmac.compare_digest(state, values[0].encode()) or not _is_new(values[0]):
        raise InvalidInput(
            "This log-in has expired, or it was started in another browser. Please start again."
        )
    _, nonce, verifier, next_path, invitation, owner_id = values
    if owner_id != (g.user and g.user.id):
        raise InvalidInput("You have logged in or out in the meantime. Please start again.")
    if "code" not in request.args:
        flash(gettext("You were not logged in through %(name)s.", name=provider.name))
        return redirect(url_for("auth.account" if g.user else "auth.login"), 303)
    identity = provider.identity(request.args["code"], nonce, verifier)
    was_linked = services().identities.user_of(identity.issuer, identity.subject) is not None
    user = log_in.known_user(services().identities, services().users, identity, g.user, utcnow())
    if user is not None and not was_linked:
        notify_of(PROVIDER_LINKED, user)
    if g.user is not None:
        flash(gettext("You can log in through %(name)s from now on.", name=provider.name))
        return redirect(url_for("auth.account"), 303)
    return second_step.begin(user or _sign_up(identity, invitation), next_path)


@blueprint.get("/account/provider")
def form_of_account() -> Response:
    """Redirect to the form of the account page, as ``auth.form_of_account`` does."""
    _provider()
    return redirect(url_for("auth.account") + "#provider", 303)


@blueprint.post("/account/provider")
def unlink() -> ViewResult:
    """Unlink the account. The form asks for the password, without which nobody could log in again."""
    provider, user = _provider(), current_user()
    try:
        accounts.confirm(user, request.form.get("password", ""), guard())
    except (WrongCredentials, TooManyAttempts) as error:
        return account_page(error, at="provider")
    if services().identities.unlink(user.id, provider.issuer, utcnow()):
        services().sessions.end_all(user.id)  # the log-ins may have come through the provider
        sign_in_again(user)
        logger.info("user %d unlinked the account from the provider", user.id)
        notify_of(PROVIDER_UNLINKED, user)
    flash(gettext("Unlinked from %(name)s. You were logged out on other devices.", name=provider.name))
    return redirect(url_for("auth.account"), 303)


def _is_elsewhere() -> bool:
    """Return True if the cookie of this address would not be sent to the callback at the public address.

    True also behind a proxy that does not pass the host on, so the redirect must not be repeated.
    """
    public = urlsplit(services().settings.public_url)
    own_host, public_host = host_name(f"//{request.host}"), ascii_domain(public.hostname or "")
    return (request.scheme, own_host) != (public.scheme, public_host)


def _count() -> None:
    """Count an attempt from the network: each may wait for the provider, in one of few threads.

    Raises:
        TooManyAttempts: there were too many attempts from this network.
    """
    attempt = guard()
    attempt.limits.begin_network(attempt.address, attempt.now)


def _is_new(state: str) -> bool:
    """Record the use of a state; return True for the first use. A copy of the cookie can't be used again."""
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
