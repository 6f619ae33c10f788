"""Write the texts of the pages into the catalogues of all languages: `make texts`."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import write_po

import scripts  # noqa: F401 - first: finds the packages without an installation
from catloader import errors
from catloader.languages import ENGLISH, FOLDER, LANGUAGES, catalogue
from checker.evaluation.provenance import ROOT
from scripts.command_line import report_errors

# The texts of these modules are for operators and programs, which get English.
ENGLISH_ONLY = (
    *("backup", "bulk", "checks", "cli", "demo", "doctor", "server", "settings", "store/s3", "transfer"),
    *("web/api_v1", "web/http/bearer.py", "wiring"),
)
_ENGLISH_ERRORS = (
    *(
        errors.StartupError,
        errors.BackupRefused,
        errors.StoreUnavailable,
        errors.StoreFull,
        errors.ObjectAltered,
    ),
    *(errors.TokenRefused, errors.ScopeMissing, errors.KeyReused, errors.KeyInUse, errors.NotPossibleNow),
    *(errors.NoCheckerHere, errors.CheckerNotReady, errors.ExplanationFailed),
)
_TEMPLATES = {
    "extensions": "jinja2.ext.i18n",
    "newstyle_gettext": "true",
    "trimmed": "true",
    "silent": "false",
}
_PLURAL_FORMS = "nplurals=2; plural=(n != 1);"
_HEADER = f"""\
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: {_PLURAL_FORMS}\\n"

"""
_CALLS: dict[str, Any] = {
    **dict.fromkeys(("_", "gettext", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_noop"), (1, 2)),
}


@report_errors
def main() -> int:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    for language in LANGUAGES:
        if language != ENGLISH:
            catalog = updated(language)
            (FOLDER / f"{language}.po").write_text(as_text(catalog), "utf-8")
            print(f"{language}.po: {len(catalog)} texts, {missing(catalog)} of them to translate")
    return 0


def texts() -> Iterator[tuple[str, Any]]:
    """Yield (path, message id) of every text that users see; a text with a plural is a pair.

    Raises:
        ValueError: a call contains an f-string, so that its text may not be in the catalogues.
    """
    catloader = ROOT / "catloader"
    calls = {**_CALLS, **dict.fromkeys(shown_errors())}
    for path in sorted(catloader.rglob("*")):
        name = path.relative_to(catloader).as_posix()
        method = {".html": "jinja2", ".py": "python", ".js": "javascript"}.get(path.suffix)
        if method is None or name.startswith(ENGLISH_ONLY):
            continue
        options = _TEMPLATES if method == "jinja2" else {}
        with path.open("rb") as file:
            for message in messages(method, file, calls, options):
                yield f"catloader/{name}", message


def messages(method: str, file: BinaryIO, calls: dict[str, Any], options: dict[str, str]) -> list[Any]:
    """Return the message ids of a file.

    Raises:
        ValueError: Babel printed a warning.
    """
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        messages = [message for _, message, _, _ in extract(method, file, calls, (), options)]
    if printed.getvalue():
        raise ValueError(printed.getvalue().strip())
    return messages


def shown_errors() -> set[str]:
    """Return the names of the error classes whose first argument is a text that users see."""
    names, todo = set(), [errors.CatLoaderError]
    while todo:
        error = todo.pop()
        if not issubclass(error, _ENGLISH_ERRORS):
            names.add(error.__name__)
            todo += [leaf for leaf in error.__subclasses__() if leaf.__module__.startswith(errors.__name__)]
    return names - {errors.CatLoaderError.__name__}


def updated(language: str) -> Catalog:
    """Return the catalogue with exactly the texts of the code, and their existing translations."""
    before, after = catalogue(language), Catalog(locale=language, charset="utf-8")
    after.mime_headers = [("Plural-Forms", _PLURAL_FORMS)]
    for path, message in texts():
        after.add(message, known(before, message), locations=[(path, 0)])
    return after


def known(catalog: Catalog, message: Any) -> Any:
    """Return the translation of a text; None if it has none, or if a plural form was added or removed."""
    old = catalog.get(message)
    return old.string if old and isinstance(old.id, str) == isinstance(message, str) else None


def missing(catalog: Catalog) -> int:
    return sum(not message.string or not all(_forms(message.string)) for message in catalog if message.id)


def as_text(catalog: Catalog) -> str:
    # Sorted and without line numbers, so that two branches that add texts rarely change the same lines.
    file = io.BytesIO()
    write_po(file, catalog, width=0, omit_header=True, sort_output=True, include_lineno=False)
    return _HEADER + file.getvalue().decode()


def _forms(string: Any) -> tuple[str, ...]:
    return (string,) if isinstance(string, str) else tuple(string)


if __name__ == "__main__":
    raise SystemExit(main())
