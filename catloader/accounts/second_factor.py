"""The second step of a log-in: codes of an authenticator app (TOTP, RFC 6238) and recovery codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from datetime import datetime

import pyotp
import segno

from catloader.accounts import accounts
from catloader.errors import InvalidInput, WrongCredentials
from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.accounts.users import User

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
"""80 bits: a code can't be found from its digest."""
_STEP_S = 30
_ACCEPTED_STEPS = (0, -1, 1)
"""Steps whose codes are accepted, relative to the current step: the clocks of phone and server differ."""


def new_secret() -> str:
    """Return 160 random bits in base32."""
    return pyotp.random_base32(32)


def address(secret: str, email: str) -> str:
    """Return the ``otpauth:`` URL that authenticator apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name="CatLoader")


def qr_code(text: str) -> str:
    """Return an SVG of the text as a ``data:`` URL, dark on white even on dark pages."""
    return segno.make_qr(text, error="m").svg_data_uri(scale=5, dark="#000", light="#fff")


def set_up(
    factors: SecondFactors, user: User, guard: accounts.Guard, *, secret: str, code: str, password: str
) -> list[str]:
    """Store the factor once a code shows that the app has the secret; return the recovery codes.

    Raises:
        WrongCredentials: the password is wrong.
        InvalidInput: the code is wrong, or the account has a second factor already.
        TooManyAttempts: the limit is reached; the password was not compared.
    """
    accounts.confirm(user, password, guard)
    if factors.of(user.id) is not None:  # the form was sent twice, or from another tab
        raise InvalidInput("The second factor is already set up. To set up another one, remove it first.")
    step = _step_of(secret, code, guard.now)
    if step is None:
        raise InvalidInput("This code is wrong. Is your phone's clock right?")
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    factors.set_up(user.id, secret, step, [_digest(recovery_code) for recovery_code in codes], guard.now)
    return codes


def accept_code(factors: SecondFactors, user: User, code: str, guard: accounts.Guard) -> None:
    """Accept a code of the app, or a recovery code, once.

    Raises:
        WrongCredentials: the code is wrong, or it was used already.
        TooManyAttempts: the limit is reached; the code was not compared.
    """
    attempt = guard.limits.begin_code(user.email, guard.address, guard.now)
    factor = factors.of(user.id)
    step = _step_of(factor.secret, code, guard.now) if factor else None
    if step is None:
        is_accepted = factors.use_recovery_code(user.id, _digest(code))
    else:
        is_accepted = factors.accept(user.id, step)
    if not is_accepted:
        raise WrongCredentials("This code is wrong or has already been used.")
    guard.limits.succeeded(attempt)


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the number of the 30-second step of a code, or None if the code is not accepted now."""
    code = _plain(code)
    present = int(now.timestamp()) // _STEP_S
    totp = pyotp.TOTP(secret)
    for step in (present + offset for offset in _ACCEPTED_STEPS):
        if hmac.compare_digest(totp.at(step * _STEP_S).encode(), code.encode("utf-8", "surrogatepass")):
            return step
    return None


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _digest(code: str) -> str:
    """Return the SHA-256 of a recovery code; case and hyphens do not matter."""
    plain = _plain(code).replace("-", "").lower()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(code: str) -> str:
    """Return the code without spaces, in ASCII: some keyboards type digits in full width."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", code))
