"""Values that a browser keeps for the next step and can't change: signed, for one purpose, for some time."""

from __future__ import annotations

import hashlib
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from catloader.web.context import services


def sign(purpose: str, value: Any) -> str:
    """Return text of letters, digits, ``-``, ``_`` and dots; the value (JSON) can be read in it."""
    return _serializer(purpose).dumps(value)


def unsign(purpose: str, text: str, max_age_s: int) -> Any:
    """Return the value; None: this site did not sign it for this purpose, or it did too long ago."""
    try:
        return _serializer(purpose).loads(text, max_age=max_age_s)
    except BadData:
        return None


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        services().secret_key, salt=f"catloader {purpose}", signer_kwargs={"digest_method": hashlib.sha256}
    )
