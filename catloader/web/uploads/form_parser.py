"""Form parsing that refuses an unreadable form with a reason. Flask alone would treat it as empty."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import FormDataParser

from catloader.errors import InvalidInput
from catloader.languages import gettext_noop

_NOT_UTF_8 = gettext_noop(
    "The name of a file or a field is not written in UTF-8, so nothing was stored. Rename the file to plain "
    "letters, or use a newer program."
)
_UNREADABLE = gettext_noop("The site could not read this form: it is damaged or cut off. Nothing was stored.")


class _StrictParser(FormDataParser):
    def __init__(self, stream_factory: Callable[..., IO[bytes]], **options: Any) -> None:
        self._files: list[IO[bytes]] = []

        def open_file(*facts: Any, **more_facts: Any) -> IO[bytes]:
            self._files.append(stream_factory(*facts, **more_facts))
            return self._files[-1]

        super().__init__(stream_factory=open_file, silent=False, **options)

    def parse(self, *args: Any, **options: Any) -> Any:
        try:
            stream, fields, files = super().parse(*args, **options)
            _refuse_replaced(fields)
            return stream, fields, files
        except (OSError, ValueError) as error:
            for file in self._files:
                with suppress(OSError):  # closing writes what is buffered, and the disk may be full
                    file.close()
            if isinstance(error, OSError):
                raise
            not_utf_8 = isinstance(error, UnicodeDecodeError)
            raise InvalidInput(_NOT_UTF_8 if not_utf_8 else _UNREADABLE) from None


def _refuse_replaced(fields: MultiDict[str, str]) -> None:
    """Refuse forms that were not read completely. The parser writes U+FFFD where a field is not UTF-8.

    Raises:
        UnicodeDecodeError: a field is not UTF-8.
        ValueError: a part has no name, so the form is not what the program meant to send.
    """
    for name, text in fields.items(multi=True):
        if name is None:
            raise ValueError("a part without a name")
        # A photo that was sent as text gets a better message from the view.
        if "\ufffd" in text and name not in ("photo", "photos"):
            raise UnicodeDecodeError("utf-8", b"", 0, 0, "a field")


class StrictRequest(Request):
    """A request that raises ``InvalidInput`` if its form is incomplete."""

    form_data_parser_class = _StrictParser
