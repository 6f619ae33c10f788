"""Find, link or create the account that belongs to an identity."""

from __future__ import annotations

import secrets
from datetime import datetime

from catloader.accounts.passwords import hash_password
from catloader.errors import AccountDisabled, ProviderRefused
from catloader.oidc.identity import Identity
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.users import User, Users


def known_user(
    identities: Identities, users: Users, identity: Identity, owner: User | None, now: datetime
) -> User | None:
    """Return the account of an identity. Link it first if both sides have verified the e-mail address.

    Args:
        owner: the logged-in user who links the account on the account page; None for a log-in.

    Returns:
        The account, or None if no account has this e-mail address.

    Raises:
        ProviderRefused: the address is not verified on both sides, it differs from that of ``owner``, the
            identity is linked to another account, or this is a log-in and its account was unlinked.
        AccountDisabled: an administrator has disabled the account.
    """
    user = identities.user_of(identity.issuer, identity.subject)
    if user is None:
        if not identity.email_verified or not identity.email:
            raise ProviderRefused("Your e-mail address is not verified there, so it can't be used here.")
        user = users.by_email(identity.email)
        if owner is not None and (user is None or user.id != owner.id):
            raise ProviderRefused("Your e-mail address there differs from the one here.")
        if user is None:
            return None
        if user.email_confirmed_at is None and owner is None:
            # Whoever created the account has not proven that they own the address. If it were linked, they
            # would still have access to it.
            raise ProviderRefused(
                "There is an account with your e-mail address, which is not confirmed. Log in with its "
                "password, or set a new one, and link it on the account page."
            )
        by_owner = owner is not None
        if not identities.link(user.id, identity.issuer, identity.subject, now, by_owner=by_owner):
            raise ProviderRefused(
                "The account with your e-mail address was unlinked from this log-in. Log in with its "
                "password, and link it again on the account page."
            )
    elif owner is not None and user.id != owner.id:
        raise ProviderRefused("Another account here is linked with this log-in.")
    if user.disabled_at is not None:
        raise AccountDisabled("This account is disabled. Please ask the administrator of this site.")
    return user


def new_user(identities: Identities, identity: Identity, invitation: str | None, now: datetime) -> User:
    """Add an account with a random password that nobody knows.

    Raises:
        EmailTaken: an account with this e-mail address was added meanwhile.
        RegistrationClosed: the invitation is unknown, used or expired.
    """
    password_hash = hash_password(secrets.token_urlsafe(32))
    return identities.sign_up(
        identity.issuer, identity.subject, identity.email, password_hash, invitation=invitation, now=now
    )
