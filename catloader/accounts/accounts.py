"""Accounts: sign up, log in, change the password, delete. Plain functions, no web framework.

Each comparison of a password is an attempt, which is counted before the comparison (``attempts.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

from catloader.accounts import passwords
from catloader.accounts.attempts import AttemptLimits
from catloader.errors import AccountDisabled, InvalidEmail, WrongCredentials
from catloader.store.db.accounts.sign_up import SignUps
from catloader.store.db.accounts.users import User, Users, normal_email

MAX_EMAIL_CHARS = 254

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+")
_LABEL = r"""(?!-)[^\s@"(),.:;<>\[\]\\]{1,63}(?<!-)"""
_NEW_DOMAIN = re.compile(rf"localhost|{_LABEL}(\.{_LABEL})+|\[[0-9a-f.:]+\]")
"""Mail servers read brackets as comments and commas as separators, so the mail would go to another address,
past the limit of mails for that address. A domain without a dot is a typing error that would make the account
unusable."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The attempt limits, and the attempt to count."""

    limits: AttemptLimits
    address: str
    """IP address of the client."""
    now: datetime


def register(users: Users, email: str, password: str, now: datetime, *, is_admin: bool = False) -> User:
    """Add an account on behalf of someone who may know which e-mails are registered.

    Raises:
        InvalidInput: this is not an e-mail address, or the password is not accepted.
        EmailTaken: an account has this e-mail already.
    """
    return users.create(email, _new_hash(email, password), now, is_admin=is_admin)


def sign_up(
    sign_ups: SignUps,
    email: str,
    password: str,
    guard: Guard,
    *,
    browser: str = "",
    invitation: str | None = None,
) -> tuple[str, int | None]:
    """Add an account and begin a session; the result looks the same if the e-mail is registered already.

    Returns:
        The session's token, and the id of the new account. The id is None if the e-mail is registered
        already; the session then gives access to nothing.

    Raises:
        InvalidInput: this is not an e-mail address, or the password is not accepted.
        TooManyAttempts: too many sign-ups from this network.
        RegistrationClosed: the invitation is unknown, used or expired.
    """
    guard.limits.begin_sign_up(guard.address, guard.now)
    return sign_ups.create(email, _new_hash(email, password), guard.now, browser, invitation)


def authenticate(users: Users, email: str, password: str, guard: Guard) -> User:
    """Return the account with this e-mail and password.

    Raises:
        WrongCredentials: the password is wrong or the e-mail is unknown; both take the same time.
        TooManyAttempts: the limit is reached; the password was not compared.
        AccountDisabled: the password is right, but the account is disabled.
    """
    attempt = guard.limits.begin_password(email, guard.address, guard.now)
    user = users.by_email(email) if _is_email(email) else None
    matches = passwords.matches(user.password_hash if user else passwords.DUMMY_HASH, password)
    if user is None or not matches:
        raise WrongCredentials("E-mail or password is wrong.")
    guard.limits.succeeded(attempt)
    if user.disabled_at is not None:
        raise AccountDisabled("This account is disabled. Please ask the administrator of this site.")
    return user


def change_password(users: Users, user: User, old: str, new: str, guard: Guard) -> User:
    """Set a new password, and return the account with it; every session of the account ends.

    Raises:
        WrongCredentials: ``old`` is not the password.
        InvalidInput: ``new`` is not accepted.
        TooManyAttempts: the limit is reached; the password was not compared.
    """
    confirm(user, old, guard)
    password_hash = passwords.hash_password(new, email=user.email)
    users.set_password(user.id, password_hash, compared=user.password_hash)
    return replace(user, password_hash=password_hash)


def change_email(users: Users, user: User, email: str, password: str, guard: Guard) -> None:
    """Set the account's e-mail.

    The change counts as a sign-up, because it may reveal that an e-mail is registered.

    Raises:
        WrongCredentials: the password is wrong.
        InvalidInput: this is not an e-mail address, or an account has it, perhaps this one.
        TooManyAttempts: too many passwords for this account, or too many sign-ups from this network.
    """
    confirm(user, password, guard)
    if not _is_new_email(email):
        raise InvalidEmail("That does not look like an e-mail address.")
    if normal_email(email) == user.email:  # else the address would become unconfirmed
        raise InvalidEmail("This is already the e-mail of your account.")
    guard.limits.begin_sign_up(guard.address, guard.now)
    users.set_email(user.id, email, compared=user.password_hash)


def begin_sign_up(email: str, guard: Guard) -> None:
    """Count a sign-up whose e-mail a provider has verified.

    Raises:
        InvalidInput: this is not an e-mail address.
        TooManyAttempts: too many sign-ups from this network.
    """
    if not _is_new_email(email):
        raise InvalidEmail("That does not look like an e-mail address.")
    guard.limits.begin_sign_up(guard.address, guard.now)


def ask_for_mail(email: str, guard: Guard) -> None:
    """Count a mail that a visitor asks for; the result does not reveal if an account has the address.

    Raises:
        InvalidInput: this is not an e-mail address.
        TooManyAttempts: too many mails to this address, or from this network.
    """
    if not _is_email(email):
        raise InvalidEmail("That does not look like an e-mail address.")
    guard.limits.begin_mail(email, guard.address, guard.now)


def delete_account(users: Users, user: User, password: str, guard: Guard, receipt: str | None = None) -> int:
    """Delete the account with its photos and their records; return the number of photos.

    Their objects enter the deletion ledger in the same transaction: wake the deletion worker afterwards.

    Args:
        receipt: as in ``Users.delete``.

    Raises:
        WrongCredentials: the password is wrong.
        TooManyAttempts: the limit is reached; the password was not compared.
        NotFound: there is no such account; another request has deleted it.
    """
    confirm(user, password, guard)
    return users.delete(user.id, receipt=receipt)


def confirm(user: User, password: str, guard: Guard) -> None:
    """Compare a password with the account's.

    Raises:
        WrongCredentials: the password is wrong.
        TooManyAttempts: the limit is reached; the password was not compared.
    """
    attempt = guard.limits.begin_confirmation(user.id, guard.address, guard.now)
    if not passwords.matches(user.password_hash, password):
        raise WrongCredentials("The password is wrong.")
    guard.limits.succeeded(attempt)


def _new_hash(email: str, password: str) -> str:
    if not _is_new_email(email):
        raise InvalidEmail("That does not look like an e-mail address.")
    return passwords.hash_password(password, email=normal_email(email))


def _is_new_email(email: str) -> bool:
    domain = normal_email(email).rpartition("@")[2]
    return _is_email(email) and _NEW_DOMAIN.fullmatch(domain) is not None


def _is_email(email: str) -> bool:
    email = normal_email(email)
    return len(email) <= MAX_EMAIL_CHARS and email.isprintable() and _EMAIL.fullmatch(email) is not None
