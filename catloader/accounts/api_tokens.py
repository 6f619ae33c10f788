"""API tokens: the secrets with which programs act for an account, within the scopes that its owner chose.

A token carries a signature of this site. The signature does not authenticate the token, which takes a query
to the database. It shows without a query that this site made the token, so that the limit of the request body
can be decided first.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from catloader.errors import InvalidInput
from catloader.languages import gettext_noop
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.texts import visible

MAX_NAME_CHARS = 60
MAX_DAYS = 3650

PREFIX = "catloader_"
"""Scanners for leaked secrets recognise tokens by this prefix."""
_MAC_CHARS = 32


class Scope(StrEnum):
    """The right to a group of requests."""

    READ = "photos:read"
    WRITE = "photos:write"
    CHECK = "check"


MEANINGS = {
    Scope.READ: gettext_noop("see your photos and their verdicts"),
    Scope.WRITE: gettext_noop("upload and delete photos, and ask for reviews"),
    Scope.CHECK: gettext_noop("check photos without storing them"),
}


def create(
    tokens: ApiTokens,
    user_id: int,
    name: str,
    scopes: Collection[str],
    *,
    days: int | None,
    secret: str,
    now: datetime,
    by_command: bool = False,
) -> str:
    """Make a token and return it; it can't be shown again.

    Args:
        days: lifetime; None: the token never expires.
        secret: the key of the signature.
        by_command: as in ``ApiTokens.add``.

    Raises:
        InvalidInput: no name, no scope, an unknown scope, a wrong number of days, or too many tokens.
    """
    name = visible("".join(c for c in name if c.isprintable()).strip())
    if not name or len(name) > MAX_NAME_CHARS:
        raise InvalidInput("Give the token a name of up to %(number)d characters.", number=MAX_NAME_CHARS)
    if not scopes or not set(scopes) <= set(Scope):
        raise InvalidInput("Choose at least one thing that the token may do.")
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise InvalidInput("A token is valid for 1 to %(number)d days.", number=MAX_DAYS)
    random = PREFIX + secrets.token_urlsafe(32)
    token = f"{random}.{_mac(random, secret)}"
    expires_at = now + timedelta(days=days) if days else None
    tokens.add(token, user_id, name, set(scopes), now=now, expires_at=expires_at, by_command=by_command)
    return token


def is_signed(token: str, secret: str) -> bool:
    """Return True if this site made the token; it may be revoked or expired."""
    random, _, mac = token.rpartition(".")
    return hmac.compare_digest(mac.encode("utf-8", "surrogateescape"), _mac(random, secret).encode())


def _mac(random: str, secret: str) -> str:
    text = f"token {random}".encode("utf-8", "surrogateescape")
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()[:_MAC_CHARS]
