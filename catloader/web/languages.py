"""The language of a request: that of the account, else of the browser, else English. Programs get English.

``gettext`` and ``ngettext`` are for texts that people see: pages, flashed messages, the JSON of the page
scripts.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.numbers import get_decimal_symbol
from flask import Flask, g, has_request_context, request
from werkzeug.wrappers import Response

from catloader.errors import CatLoaderError
from catloader.languages import ENGLISH, LANGUAGES, script_texts, translations
from catloader.web.http import bearer

_LOCALES = {ENGLISH: "en_GB"}
"""Locale of a language if the browser names none. "en_GB" has the day before the month, as texts.js does."""
_HYPHEN_OF_EMAIL = re.compile(r"(?<=\W[eE])-(?=[mM]ail)")
"""The word at the start of a label is not matched: no line breaks there."""
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+( MB)?")


def init_app(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: unbroken(translations(language()).gettext(message)),
        lambda one, many, number: unbroken(translations(language()).ngettext(one, many, number)),
        newstyle=True,
    )
    app.add_template_filter(translated)
    app.context_processor(
        lambda: {
            "language": language(),
            "languages": LANGUAGES,
            "script_texts": lambda: script_texts(language()),
        }
    )
    app.after_request(_vary)


def language() -> str:
    """Return the code of the language for this request, one of ``LANGUAGES``."""
    if not has_request_context() or request.path.startswith("/api/v1/"):
        return ENGLISH
    if bearer.scope_of_request() is not None:  # a resumable upload by a program
        return ENGLISH
    g.language_used = True
    user = g.get("user")
    if user is not None and user.language in LANGUAGES:
        return str(user.language)
    for wanted, quality in request.accept_languages:  # best quality first
        code = wanted.partition("-")[0].lower()
        if quality > 0 and code in LANGUAGES:
            return code
    return ENGLISH


def locale() -> Locale:
    """Return the locale for dates and numbers: the browser's variety of the language, as in texts.js."""
    code = language()
    for wanted, quality in request.accept_languages if has_request_context() else ():
        if quality > 0 and wanted.partition("-")[0].lower() == code:
            with suppress(ValueError, UnknownLocaleError):
                return Locale.parse(wanted, sep="-")
    return Locale.parse(_LOCALES.get(code, code))


def gettext(message: str, **values: Any) -> str:
    """Translate a text; ``values`` replace its ``%(name)s``."""
    text = unbroken(translations(language()).gettext(message))
    return text % values if values else text


def ngettext(singular: str, plural: str, number: int, **values: Any) -> str:
    """Translate a text with a number, which replaces ``%(num)d``; ``values`` work as in ``gettext``."""
    text = unbroken(translations(language()).ngettext(singular, plural, number))
    return text % {"num": number, **values}


def unbroken(text: str) -> str:
    """Return the text with non-breaking hyphens (U+2011) in "e-mail"."""
    return _HYPHEN_OF_EMAIL.sub("\N{NON-BREAKING HYPHEN}", text)


def translated(error: CatLoaderError | str) -> str:
    """Return an error's sentence in the language of this request. A plain text is returned unchanged."""
    if not isinstance(error, CatLoaderError):
        return error
    values = {name: _with_comma(value) for name, value in error.values.items()}
    if isinstance(error.message, str):
        return gettext(error.message, **values)
    singular, plural = error.message
    number = int(str(values["num"]))
    return unbroken(translations(language()).ngettext(singular, plural, number)) % values


def _with_comma(value: object) -> object:
    """Return a decimal number or a size in an error with the decimal separator of the language."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return value.replace(".", get_decimal_symbol(locale()))
    return value


def _vary(response: Response) -> Response:
    """Tell caches that the response depends on the language and the account."""
    if g.get("language_used"):
        response.vary.update(("Accept-Language", "Cookie"))
    return response
