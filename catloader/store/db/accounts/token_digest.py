"""The digest that is stored instead of a token: of sessions, API tokens, links, receipts and upload keys."""

from __future__ import annotations

import hashlib


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token, 64 hex digits."""
    # Not a password hash: a token of 256 random bits cannot be guessed from its digest.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
