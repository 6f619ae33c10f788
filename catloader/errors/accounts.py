"""Errors of people who sign up, log in, or use a token."""

from __future__ import annotations

from catloader.errors.base import CatLoaderError, InvalidInput
from catloader.languages import ngettext_noop

_WAIT_SECONDS = ngettext_noop(
    "Too many attempts. Please wait %(num)d second before you try again.",
    "Too many attempts. Please wait %(num)d seconds before you try again.",
)
_WAIT_MINUTES = ngettext_noop(
    "Too many attempts. Please wait %(num)d minute before you try again.",
    "Too many attempts. Please wait %(num)d minutes before you try again.",
)


class InvalidEmail(InvalidInput):
    """The text is not an e-mail address."""

    field = "email"


class EmailTaken(InvalidInput):
    """The e-mail is registered already."""

    status, field = 409, "email"


class WeakPassword(InvalidInput):
    """A new password is too short, too long or easy to guess."""

    field = "new_password"


class WrongCredentials(CatLoaderError):
    """The e-mail is unknown or the password is wrong; the error does not reveal which."""

    status = 401


class AccountDisabled(WrongCredentials):
    """The password is right, but an administrator has disabled the account."""

    status = 403


class ProviderRefused(CatLoaderError):
    """The provider did not confirm a person's identity, or a required e-mail address."""

    status = 403


class ProviderUnavailable(CatLoaderError):
    """The provider of log-ins does not answer, or its response is not valid."""

    status = 503
    retry_after_s = 60


class RegistrationClosed(CatLoaderError):
    """The site takes no new accounts, or only with an invitation."""

    status = 403


class LinkExpired(CatLoaderError):
    """A one-time link is unknown, used or expired."""

    status = 404


class TooManyAttempts(CatLoaderError):
    """There were too many attempts for one account or from one network; this attempt was not evaluated."""

    status = 429

    def __init__(self, wait_s: int) -> None:
        if wait_s < 100:
            super().__init__(_WAIT_SECONDS, num=wait_s)
        else:
            super().__init__(_WAIT_MINUTES, num=-(-wait_s // 60))
        self.retry_after_s = wait_s


class TokenRefused(CatLoaderError):
    """There is no API token, or it is unknown, revoked or expired."""

    status = 401


class ScopeMissing(CatLoaderError):
    """The API token lacks the scope for this request."""

    status = 403
