"""Signed values that a browser keeps for the next step: for one purpose and a limited time."""

from __future__ import annotations

import hashlib
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from catloader.web.http.context import services


def sign(purpose: str, value: Any) -> str:
    """Return text of letters, digits, ``-``, ``_`` and dots; the value (JSON) is signed, not encrypted."""
    return _serializer(purpose).dumps(value)


def unsign(purpose: str, text: str, max_age_s: int) -> Any:
    """Return the value; None: not signed by this site for this purpose, or too long ago."""
    try:
        return _serializer(purpose).loads(text, max_age=max_age_s)
    except BadData:
        return None


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        services().secret_key, salt=f"catloader {purpose}", signer_kwargs={"digest_method": hashlib.sha256}
    )
