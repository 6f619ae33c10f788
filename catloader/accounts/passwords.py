"""Passwords: the rules for accepting them, their hashes, and the comparison.

Passwords are stored as Argon2id hashes in PHC format, with OWASP's minimum parameters (19 MiB, two passes,
one lane). A hash takes about 60 ms; a process with 8 request threads needs at most 8 x 19 MiB for hashing.

zxcvbn judges new passwords by lists of passwords and words, which take 12 MB. Each process loads the lists
with the first new password.
"""

from __future__ import annotations

import contextlib
import math
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from catloader.errors import WeakPassword

MIN_CHARS = 10
MAX_CHARS = 1000

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Hash of a random, discarded text, with the parameters above. The password for an unknown e-mail is compared
# with this hash, so that the response takes as long as for a known e-mail.
DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$vKNce/PR1uV7GdRuqfJOGA$FwxyXyOBgrr4/3tWVeH2HzlMv7YSPxkdYoYdUd0gEBY"
)

_JUDGED_CHARS = 72
"""The most that zxcvbn accepts. A password is at least as hard to guess as its beginning."""
_READINGS = 16
"""Limit on the combinations in which zxcvbn reads digits and signs as letters. All combinations would take
seconds for a password with all of these characters; 16 take 0.05 s for 72 characters. Digits alone never make
more than 16."""
_WEAK = 1
"""zxcvbn's score of a password that a million guesses find. The passwords in its lists of leaked passwords,
and simple changes of them, score at most this (docs/decisions/0008-sessions-and-attempts.md)."""


def hash_password(password: str, *, email: str = "") -> str:
    """Return the Argon2id hash of a new password, in PHC format.

    Args:
        email: of the account; a password made from it is refused.

    Raises:
        WeakPassword: too short, too long, or easy to guess.
    """
    normal = _normal(password)
    if min(len(password), len(normal)) < MIN_CHARS:  # some signs are a sentence in the normal form
        raise WeakPassword("The password needs at least %(number)d characters.", number=MIN_CHARS)
    if len(password) > MAX_CHARS:
        raise WeakPassword("The password may have at most %(number)d characters.", number=MAX_CHARS)
    if any(_is_weak(form, email) for form in {password, normal}):
        raise WeakPassword(
            "This password is easy to guess: it is on lists of leaked passwords, or close to one that is."
        )
    return _hasher.hash(_bytes(password))


def matches(password_hash: str, password: str) -> bool:
    """Compare the whole password with the hash; takes the same time for every password."""
    if len(password) > MAX_CHARS:  # no account has a password this long
        password_hash, password = DUMMY_HASH, password[:MAX_CHARS]
    try:
        return _hasher.verify(password_hash, _bytes(password))
    except VerificationError:
        return False
    except InvalidHashError:  # someone locked the account by hand; the response must take as long
        with contextlib.suppress(VerificationError):
            _hasher.verify(DUMMY_HASH, _bytes(password))
        return False


def _is_weak(password: str, email: str) -> bool:
    from zxcvbn import zxcvbn

    words = ["catloader", email, email.partition("@")[0], *email.replace("@", ".").split(".")]
    result = zxcvbn(_readable(password[:_JUDGED_CHARS]), user_inputs=[word for word in words if word])
    return bool(result["score"] <= _WEAK)


def _readable(text: str) -> str:
    """Replace all signs for the same letter with one sign if zxcvbn would try too many combinations.

    Digits stay as they are: they occur in dates and keyboard rows.
    """
    from zxcvbn.matching import L33T_TABLE

    present = [[sign for sign in signs if sign in text] for signs in L33T_TABLE.values()]
    ambiguous = sum(sum(sign in signs for signs in present) > 1 for sign in set(text))
    if math.prod(len(signs) or 1 for signs in present) * 2**ambiguous <= _READINGS:
        return text
    changed: dict[int, str] = {}
    for signs in present:
        digits = [sign for sign in signs if sign.isdigit()]
        for sign in signs:
            if sign not in digits:
                changed.setdefault(ord(sign), (digits or signs)[0])
    return text.translate(changed)


def _bytes(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")


def _normal(password: str) -> str:
    """Return one form for all encodings of a letter. Systems encode an umlaut as one or two characters.

    Full-width letters become the usual ones.
    """
    return unicodedata.normalize("NFKC", password)
