"""Accounts: register, log in, change the password, delete. Plain functions, no web framework.

Passwords are kept as Argon2id in PHC format, with OWASP's smallest parameters for it (19 MiB, two passes, one
lane): about 60 ms, and a process of 8 request threads needs at most 8 x 19 MiB for it.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from catloader.errors import InvalidInput, WrongCredentials
from catloader.store.db.users import User, Users, normal_email

MIN_PASSWORD_CHARS = 10
MAX_PASSWORD_CHARS = 1000
MAX_EMAIL_CHARS = 254

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Hash of a random text that was thrown away, with the parameters above. The password for an unknown e-mail is
# compared with it, so that the answer takes as long as for a known one.
DUMMY_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$vKNce/PR1uV7GdRuqfJOGA$FwxyXyOBgrr4/3tWVeH2HzlMv7YSPxkdYoYdUd0gEBY"
)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+")


def register(users: Users, email: str, password: str, now: datetime, *, is_admin: bool = False) -> User:
    """Add an account.

    Raises:
        InvalidInput: no e-mail address, or a password that is too short or too long.
        EmailTaken: an account has this e-mail already.
    """
    if not _is_email(email):
        raise InvalidInput("That does not look like an e-mail address.")
    return users.create(email, hash_password(password), now, is_admin=is_admin)


def authenticate(users: Users, email: str, password: str) -> User:
    """Return the account with this e-mail and password.

    Raises:
        WrongCredentials: the same for a wrong password and an unknown e-mail, and after the same time.
    """
    user = users.by_email(email) if _is_email(email) else None
    matches = _matches(user.password_hash if user else DUMMY_HASH, password)
    if user is None or not matches:
        raise WrongCredentials("E-mail or password is wrong.")
    return user


def change_password(users: Users, user: User, old: str, new: str) -> User:
    """Set a new password; every other session of the account ends with it.

    Raises:
        WrongCredentials: ``old`` is not the password.
        InvalidInput: ``new`` is too short or too long.
    """
    confirm(user, old)
    users.set_password(user.id, hash_password(new))
    changed = users.by_id(user.id)
    if changed is None:
        raise WrongCredentials("This account does not exist any more.")
    return changed


def delete_account(users: Users, user: User, password: str, now: datetime) -> int:
    """Delete the account with its photos and their records; return the number of photos.

    Their objects enter the deletion ledger in the same transaction: wake the deletion worker afterwards.

    Raises:
        WrongCredentials: the password is wrong.
    """
    confirm(user, password)
    return users.delete(user.id, now)


def confirm(user: User, password: str) -> None:
    """Compare with the account's password.

    Raises:
        WrongCredentials: the password is wrong.
    """
    if not _matches(user.password_hash, password):
        raise WrongCredentials("The password is wrong.")


def hash_password(password: str) -> str:
    """Return Argon2id in PHC format.

    Raises:
        InvalidInput: too short or too long.
    """
    if len(password) < MIN_PASSWORD_CHARS:
        raise InvalidInput(f"The password needs at least {MIN_PASSWORD_CHARS} characters.")
    if len(password) > MAX_PASSWORD_CHARS:
        raise InvalidInput(f"The password may have at most {MAX_PASSWORD_CHARS} characters.")
    return _hasher.hash(_password_bytes(password))


def _is_email(email: str) -> bool:
    email = normal_email(email)
    return len(email) <= MAX_EMAIL_CHARS and email.isprintable() and _EMAIL.fullmatch(email) is not None


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, _password_bytes(password[:MAX_PASSWORD_CHARS]))
    except (VerificationError, InvalidHashError):
        return False


def _password_bytes(password: str) -> bytes:
    # Systems type the same letter as different code points (u with an umlaut: one or two).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
