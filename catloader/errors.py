"""The errors of the site; each class has its HTTP status."""

from __future__ import annotations

from catloader.languages import gettext_noop
from checker import errors as checker_errors

_WAIT_SECONDS = gettext_noop("Too many attempts. Please wait %(number)d seconds before you try again.")
_WAIT_MINUTES = gettext_noop("Too many attempts. Please wait %(number)d minutes before you try again.")


class CatLoaderError(Exception):
    """The root. ``str(error)`` is one plain sentence that may be shown to a person.

    Args:
        message: the sentence in English, the key of its translations;
        values: what replaces its ``%(name)s``.
    """

    status = 500
    retry_after_s: int | None = None
    """Set where the same request may succeed after so many seconds."""

    def __init__(self, message: str = "", **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message, self.values = message, values


class StartupError(CatLoaderError):
    """The site can't start: a port in use, an unusable data folder, a full disk. One line, exit code 1."""


class SettingError(StartupError):
    """A setting has a value that is not accepted."""


class StoreUnavailable(CatLoaderError, checker_errors.StoreUnavailable):
    """The object store or the database did not answer; the text names address and reason, for operators.

    The checker's error as well: translated once, at the edge of the store, for both.
    """

    status = 503
    retry_after_s = 5

    def __init__(self, text: str, *, cause: str = "") -> None:
        """
        Args:
            cause: what makes two failures the same one, for the log, where ``text`` names an object.
        """
        super().__init__(text)
        self.cause = cause or text


class BackupRefused(CatLoaderError):
    """A backup can't be made or restored: no backup, a full disk, a database in use."""


class ObjectAltered(CatLoaderError):
    """The object store gave other bytes than were stored; they are not passed on."""

    status = 502


class StoreFull(CatLoaderError):
    """The disk is nearly full; the rest is reserved for the running site."""

    status = 507


class BadImage(CatLoaderError):
    """An uploaded file is refused."""

    status = 400


class NotAnImage(BadImage):
    """The bytes are not an image file of an accepted format."""

    status = 415


class BrokenImage(BadImage):
    """An image file that is truncated or corrupt."""

    status = 422


class EmptyFile(BadImage):
    """Zero bytes."""


class TooManyBytes(BadImage):
    """The file is above the limit."""

    status = 413


class TooManyPixels(BadImage):
    """The photo has more pixels than the limit; seen in the file's header, before decoding."""

    status = 413


class TooManyFiles(CatLoaderError):
    """The request has more files than the limit; those within it are accepted."""

    status = 413


class QuotaReached(CatLoaderError):
    """The account stores as much as it may."""

    status = 413


class UploadsBusy(CatLoaderError):
    """As many uploads are decoded, or wait for it, as the site has places for."""

    status = 503
    retry_after_s: int = 5
    """Of a whole crowd, a longer one of its own for each."""


class ExportBusy(CatLoaderError):
    """An export is being sent; the others wait, so that request threads stay free."""

    status = 503
    retry_after_s = 60


class OffsetMismatch(CatLoaderError):
    """Bytes of a partial upload that are not the next ones: the client asks where it goes on."""

    status = 409


class UploadLocked(CatLoaderError):
    """Another request works on the same partial upload."""

    status = 423
    retry_after_s = 1


class DecodersAway(CatLoaderError):
    """No process could be started that decodes photos."""

    status = 503
    retry_after_s = 5


class InvalidInput(CatLoaderError):
    """A form field has a value that is not accepted."""

    status = 400
    field = ""
    """Name of the field, where the page should lead to it."""


class InvalidEmail(InvalidInput):
    """No e-mail address."""

    field = "email"


class EmailTaken(InvalidInput):
    """The e-mail is registered already."""

    status = 409


class WrongCredentials(CatLoaderError):
    """Unknown e-mail or wrong password: the same answer for both."""

    status = 401


class AccountDisabled(WrongCredentials):
    """The password is right, but an administrator has disabled the account."""

    status = 403


class ProviderRefused(CatLoaderError):
    """The provider did not vouch for a person, or for an e-mail address that would be needed."""

    status = 403


class ProviderUnavailable(CatLoaderError):
    """The provider of log-ins does not answer, or not as it should."""

    status = 503
    retry_after_s = 60


class RegistrationClosed(CatLoaderError):
    """The site takes no new accounts, or only with an invitation."""

    status = 403


class LinkExpired(CatLoaderError):
    """A one-time link that is unknown, used or expired."""

    status = 404


class TooManyAttempts(CatLoaderError):
    """Too many passwords for one account, or attempts from one network; nothing was evaluated."""

    status = 429

    def __init__(self, wait_s: int) -> None:
        if wait_s < 100:
            super().__init__(_WAIT_SECONDS, number=wait_s)
        else:
            super().__init__(_WAIT_MINUTES, number=-(-wait_s // 60))
        self.retry_after_s = wait_s


class FormRefused(CatLoaderError):
    """A form without a valid token, or from another site. Nothing was changed."""

    status = 400

    def __init__(self, message: str, *, expired: bool, **values: object) -> None:
        super().__init__(message, **values)
        self.expired = expired
        """True: the same request with a fresh token may succeed."""


class UnknownHost(CatLoaderError):
    """The request is for a host name that is not this site's."""

    status = 400


class TokenRefused(CatLoaderError):
    """No API token, or one that is unknown, revoked or expired."""

    status = 401


class ScopeMissing(CatLoaderError):
    """The API token is good for other requests only."""

    status = 403


class KeyReused(CatLoaderError):
    """The same ``Idempotency-Key`` came with other bytes."""

    status = 422


class KeyInUse(CatLoaderError):
    """An upload with the same ``Idempotency-Key`` was stored in the meantime: the next request finds it."""

    status = 409
    retry_after_s = 1


class NoCheckerHere(CatLoaderError):
    """This process has no model: checks are made by others, which take their photos from the table."""

    status = 501


class CheckerNotReady(CatLoaderError):
    """The model is being loaded, or it failed."""

    status = 503
    retry_after_s = 5


class NotFound(CatLoaderError):
    """There is no such thing, or it belongs to another user."""

    status = 404


class NotPossibleNow(CatLoaderError):
    """The photo is in a state in which this can't be done."""

    status = 409


class CannotExplain(CatLoaderError):
    """The model or the profile that decided is not on this machine any more."""

    status = 409


class ExplainerBusy(CatLoaderError):
    """Another photo is being explained."""

    status = 503
    retry_after_s = 3


class ExplanationFailed(CatLoaderError):
    """The child process gave no explanation, or not in time."""
