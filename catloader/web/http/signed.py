"""Signed values that a browser keeps between requests, each for one purpose and a limited time."""

from __future__ import annotations

import hashlib
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from catloader.web.http.context import services


def sign(purpose: str, value: Any) -> str:
    """Return the value as signed text of letters, digits, ``-``, ``_`` and dots. It is not encrypted.

    Args:
        value: anything that JSON can express.
    """
    return _serializer(purpose).dumps(value)


def unsign(purpose: str, text: str, max_age_s: int) -> Any:
    """Return the value; None if this site did not sign it for this purpose, or signed it too long ago."""
    try:
        return _serializer(purpose).loads(text, max_age=max_age_s)
    except BadData:
        return None


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        services().secret_key, salt=f"catloader {purpose}", signer_kwargs={"digest_method": hashlib.sha256}
    )
