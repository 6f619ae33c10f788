"""The root of the errors, and those that any part of the site raises."""

from __future__ import annotations


class CatLoaderError(Exception):
    """The root. ``str(error)`` is one plain sentence that may be shown to a person.

    Args:
        message: the sentence in English, the key of its translations; or its singular and plural
            (``ngettext_noop``), between which the value ``num`` chooses;
        values: what replaces its ``%(name)s``.
    """

    status = 500
    retry_after_s: int | None = None
    """Set where the same request may succeed after so many seconds."""

    def __init__(self, message: str | tuple[str, str] = "", **values: object) -> None:
        text = message if isinstance(message, str) else message[values["num"] != 1]
        super().__init__(text % values if values else text)
        self.message, self.values = message, values


class StartupError(CatLoaderError):
    """A command can't start or continue: a port in use, an unusable data folder, a full disk. One line, exit
    code 1.
    """


class SettingError(StartupError):
    """A setting has a value that is not accepted."""


class InvalidInput(CatLoaderError):
    """A form field has a value that is not accepted."""

    status = 400
    field = ""
    """Name of the field, where the page should lead to it."""


class NotFound(CatLoaderError):
    """There is no such thing, or it belongs to another user."""

    status = 404


class NotPossibleNow(CatLoaderError):
    """The photo is in a state in which this can't be done."""

    status = 409
