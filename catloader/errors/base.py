"""The root of the errors, and the errors that any part of the site may raise."""

from __future__ import annotations


class CatLoaderError(Exception):
    """The root. ``str(error)`` is one plain sentence that may be shown to a person.

    Args:
        message: the sentence in English, which is the key of its translations; or its singular and plural
            (``ngettext_noop``), one of which the value ``num`` selects;
        values: replacements of ``%(name)s`` in the sentence.
    """

    status = 500
    retry_after_s: int | None = None
    """Seconds after which the same request may succeed; None: there is no such time, or it is unknown."""

    def __init__(self, message: str | tuple[str, str] = "", **values: object) -> None:
        text = message if isinstance(message, str) else message[values["num"] != 1]
        super().__init__(text % values if values else text)
        self.message, self.values = message, values


class StartupError(CatLoaderError):
    """A command can't start or continue: a port in use, an unusable data folder, a full disk.

    The command prints one line and exits with code 1.
    """


class SettingError(StartupError):
    """A setting has a value that is not accepted."""


class InvalidInput(CatLoaderError):
    """A form field has a value that is not accepted."""

    status = 400
    field = ""
    """Name of the field to which the page should lead; empty: none."""


class NotFound(CatLoaderError):
    """The requested object does not exist, or belongs to another user."""

    status = 404


class NotPossibleNow(CatLoaderError):
    """The state of the photo does not allow this action."""

    status = 409
