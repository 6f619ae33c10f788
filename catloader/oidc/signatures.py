"""The signatures of a provider's tokens: the accepted algorithms, and the provider's keys."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry

MALFORMED = (ValueError, KeyError, TypeError, RecursionError)
"""Errors of malformed JSON from a provider; RecursionError is for thousands of nested levels."""
_EDDSA = "EdDSA"
"""Name that RFC 9864 replaces by "Ed25519"; most providers with such keys still use it."""
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    *("Ed25519", _EDDSA),
)
"""Only algorithms that use a private key of the provider: not ``none``, and none with a shared secret."""


class Algorithms(JWSRegistry):
    """The accepted algorithms. Unknown parameters of a token's header are ignored (RFC 7515, section 4)."""

    def __init__(self) -> None:
        super().__init__(algorithms=_ALGORITHMS, strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        # The library warns of the name at each use.
        return self.algorithms[name] if name == _EDDSA else super().get_alg(name)


def key_set(document: Any) -> KeySet:
    """Return the keys of a set that can be read; others are ignored (RFC 7517, section 5).

    Raises:
        ValueError: no key can be read.
    """
    keys: list[Key] = []
    for key in document["keys"]:
        with suppress(JoseError, *MALFORMED):
            keys += KeySet.import_key_set({"keys": [key]}).keys
    if not keys:
        raise ValueError("none of its keys can be read")
    return KeySet(keys)
