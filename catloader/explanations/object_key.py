"""Keys of explanations. A key ends with the first digits of the object's SHA-256, which no column has."""

from __future__ import annotations

import hashlib
import secrets

_RANDOM_CHARS, _DIGEST_CHARS = 32, 24
_EXTENSION = ".jpg"


def key_for(jpeg: bytes) -> str:
    """Return a new key: random digits, then the first digits of the SHA-256; at most 64 characters in all."""
    digits = hashlib.sha256(jpeg).hexdigest()[:_DIGEST_CHARS]
    return f"{secrets.token_hex(_RANDOM_CHARS // 2)}{digits}{_EXTENSION}"


def is_unaltered(key: str, data: bytes) -> bool:
    """Compare an object with the digest in its key; a key of an older version has no digest and passes."""
    digits = key.removesuffix(_EXTENSION)[_RANDOM_CHARS:]
    return hashlib.sha256(data).hexdigest().startswith(digits)
