"""Texts that people type (captions, reasons, notes): validation, folding for search, escaping in CSV."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from typing import Literal

from catloader.errors import InvalidInput
from catloader.languages import gettext_noop

MAX_TEXT_CHARS = 500
"""Maximum length of a caption, a reason and a note; the columns have this length."""
MAX_WORDS = 8
_MAX_DOMAIN_CHARS = 253

_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that look like blanks."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make spreadsheets interpret a cell as a formula (OWASP, "CSV Injection")."""

_LINE_END = re.compile("\r\n|[\r\v\f\x85]")
_OTHER_SPACE = re.compile("[\t\x1c-\x1f]")
Name = Literal["caption", "reason", "note"]
_TOO_LONG: dict[Name, str] = {
    "caption": gettext_noop("The caption is longer than %(number)d characters."),
    "reason": gettext_noop("The reason is longer than %(number)d characters."),
    "note": gettext_noop("The note is longer than %(number)d characters."),
}


def clean_text(text: str, name: Name) -> str:
    """Return the text with uniform line ends, tabs replaced by blanks, and stripped; "" if it is invisible.

    Args:
        name: the kind of text, for the error message.

    Raises:
        InvalidInput: the text is longer than ``MAX_TEXT_CHARS``, or contains another control character or a
            lone surrogate. (PostgreSQL can store neither NUL nor surrogates.)
    """
    text = _OTHER_SPACE.sub(" ", _LINE_END.sub("\n", text)).strip()
    if any(c != "\n" and unicodedata.category(c) in {"Cc", "Cs"} for c in text):
        raise InvalidInput("The text contains a control character. Type it again without it.")
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidInput(_TOO_LONG[name], number=MAX_TEXT_CHARS)
    return visible(text)


def visible(text: str) -> str:
    """Return the text; "" if it consists of blanks, invisible characters and lone accents."""
    return text if any(_is_visible(c) for c in text) else ""


def _is_visible(c: str) -> bool:
    return c.isprintable() and not c.isspace() and c not in _FILLERS and unicodedata.category(c) != "Mn"


def folded(text: str) -> str:
    """Return the form of the text that searches compare: normalised, and without upper case."""
    # Folding lengthens some letters, and an index entry can have at most 2700 bytes.
    return unicodedata.normalize("NFC", text).casefold()[:MAX_TEXT_CHARS]


def search_words(text: str) -> tuple[str, ...]:
    """Return the folded words of a search query, at most ``MAX_WORDS`` of them."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return tuple(folded(printable).split()[:MAX_WORDS])


def ascii_domain(domain: str) -> str:
    """Return a domain in ASCII, as browsers do; a text that is not a domain stays as it is."""
    if domain.isascii() or len(domain) > _MAX_DOMAIN_CHARS:
        return domain
    import idna  # rarely needed

    with suppress(UnicodeError):  # no domain name
        return idna.encode(domain, uts46=True).decode()
    return domain


def as_cell(value: object) -> object:
    """Return a value for a CSV table: a text that looks like a formula gets an apostrophe as prefix."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
