"""The languages of the pages. Their catalogues are the ``.po`` files of this folder.

The message ids are the English texts. The catalogues are compiled in memory when they are first used (0.1 s
each), so that no compiled file can be older than its source. Until then Babel is not imported: decoding
processes mark texts for translation, and translate none.
"""

from __future__ import annotations

import gettext as standard_gettext
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

FOLDER = Path(__file__).parent
ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "de": "Deutsch", "it": "Italiano"}
"""Code -> name in the language itself, in the order of the account page."""


def gettext_noop(message: str) -> str:
    """Mark a text for translation and return it unchanged; it will be translated when it is shown."""
    return message


def ngettext_noop(singular: str, plural: str) -> tuple[str, str]:
    """Mark a text with the number ``%(num)d`` for translation, and return both forms."""
    return singular, plural


@cache
def translations(language: str) -> standard_gettext.NullTranslations:
    """Return the translations into a language of ``LANGUAGES``. Thread-safe."""
    if language == ENGLISH:
        return standard_gettext.NullTranslations()
    from babel.messages.mofile import write_mo

    compiled = io.BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return standard_gettext.GNUTranslations(compiled)


@cache
def script_texts(language: str) -> dict[str, str | list[str]]:
    """Return the translated texts of page scripts: English -> translation, or singular and plural."""
    if language == ENGLISH:
        return {}
    texts: dict[str, str | list[str]] = {}
    for message in catalogue(language):
        if any(path.endswith(".js") for path, _ in message.locations):
            id = message.id[0] if isinstance(message.id, tuple | list) else message.id
            texts[id] = message.string if isinstance(message.string, str) else list(message.string or ())
    return texts


def catalogue(language: str) -> Catalog:
    """Read the catalogue of a language other than English."""
    from babel.messages.pofile import read_po

    with (FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language, charset="utf-8")
