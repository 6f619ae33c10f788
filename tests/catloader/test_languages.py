"""The catalogues contain exactly the texts of the code, and each translation has the same placeholders."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from catloader.intake.prepare import OF_DECODERS
from catloader.languages import ENGLISH, LANGUAGES, catalogue, script_texts, translations
from checker.evaluation.provenance import ROOT
from scripts.extract_texts import ENGLISH_ONLY, as_text, known, messages, shown_errors, updated

OTHERS = [language for language in LANGUAGES if language != ENGLISH]
_VALUE = re.compile(r"%\(\w+\)[a-z]|%%|%|\{\w+\}|<[^>]*>")


def _forms(text: object) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())  # type: ignore[arg-type]


def _messages(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_a_translation_with_the_same_values(language: str) -> None:
    messages = _messages(catalogue(language))
    assert len(messages) > 100
    for message in messages:
        ids, strings = _forms(message.id), _forms(message.string)
        assert len(strings) == len(ids), message.id
        for id, string in zip(ids, strings, strict=True):
            assert string.strip(), f"no translation: {id}"
            assert sorted(_VALUE.findall(string)) == sorted(_VALUE.findall(id)), f"other values: {id}"


@pytest.mark.parametrize("language", OTHERS)
def test_the_catalogue_is_up_to_date_with_make_texts(language: str) -> None:
    written = (ROOT / f"catloader/languages/{language}.po").read_text("utf-8")
    assert written == as_text(updated(language)), "run `make texts`"


@pytest.mark.parametrize("language", OTHERS)
def test_translations_end_with_the_same_punctuation_as_the_english_text(language: str) -> None:
    for message in _messages(catalogue(language)):
        for id, string in zip(_forms(message.id), _forms(message.string), strict=True):
            assert string[-1:] == id[-1:] or not re.search(r"[.?!:…]$", id + string), id


def test_a_number_before_a_noun_has_a_singular_and_a_plural() -> None:
    """In the texts listed here the number is always above 1, or a fraction, so they need no plural form."""
    constant = {
        "A token is valid for 1 to %(number)d days.",
        "An Idempotency-Key has up to %(number)d characters.",
        "An account may have %(most)d passkeys. Remove one first.",
        "At least %(waiting)s photos are waiting for it.",
        "Checks of the last %(hours)s hours; at most %(most)s in an hour, %(last)s in this one",
        "Draw 1 to %(number)d photos at a time.",
        "Give the token a name of up to %(number)d characters.",
        "It runs next to the current model, on at most %(number)s randomly drawn photos that were checked "
        "before, and changes none of them. <code>catloader models shadow NAME</code> takes all photos.",
        "The caption is longer than %(number)d characters.",
        "The check failed %(number)d times. Your photo is safe.",  # other texts are for 1 and 2
        "The checker stopped in the middle of this photo %(number)s times.",  # another text is for 1
        "The first %(number)d photos were added. Drop the folder again after they are uploaded.",
        "The model failed on %(number)s inputs: %(reason)s",
        "The note is longer than %(number)d characters.",
        "The password may have at most %(number)d characters.",
        "The password needs at least %(number)d characters.",
        "The reason is longer than %(number)d characters.",
        "This photo has %(photo)s megapixels; the limit is %(most)s.",
        "Thresholds for these rates need decisions of people on at least %(cats_needed)s photos with the "
        "subject and %(others_needed)s without; there are %(cats)s and %(others)s.",
        "We keep a copy of at most %(number)s pixels, without location and other camera data. Keep your "
        "originals.",
        "Your %(number)d photos are stored.",  # another text is for 1
        "ids takes up to %(number)d numbers, separated by commas.",
        "%(number)s days",  # a fraction; whole days are "%(num)d day"
        "%(number)s seconds",
    }
    noun = re.compile(r"%\((?!name|email|yes|no\))\w+\)[sd](</b>)? (?!is\b)(randomly drawn )?[a-z]+s\b")
    texts = {text.id for text in _messages(catalogue("de")) if isinstance(text.id, str)}
    assert {text for text in texts if noun.search(text)} == constant


def test_a_text_that_gets_a_plural_loses_its_translation() -> None:
    before = Catalog(locale="de")
    before.add("%(num)d photo", "%(num)d Foto")
    assert known(before, "%(num)d photo") == "%(num)d Foto"
    assert known(before, ("%(num)d photo", "%(num)d photos")) is None


def test_a_text_with_values_of_an_f_string_is_refused() -> None:
    source = io.BytesIO(b'gettext("As it is.")\nflash(gettext(f"{number} photos"))\n')
    with pytest.raises(ValueError, match="2: warning: Skipping f-string"):
        messages("python", source, {"gettext": None}, {})


def test_translations_are_found_at_run_time() -> None:
    assert translations("de").gettext("My photos") == "Meine Fotos"
    assert translations("it").ngettext("%(num)d day", "%(num)d days", 2) == "%(num)d giorni"
    assert translations(ENGLISH).gettext("My photos") == "My photos"
    assert script_texts(ENGLISH) == {}


def test_errors_shown_to_people_have_a_text_that_the_catalogue_finds() -> None:
    names, seen = shown_errors() - {"TooManyAttempts"}, 0  # TooManyAttempts has two texts
    for path in sorted((ROOT / "catloader").rglob("*.py")):
        if path.relative_to(ROOT / "catloader").as_posix().startswith(ENGLISH_ONLY):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        unmarked = _texts_without_mark(tree)
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _name(call.func) in names and call.args:
                seen += 1
                text = call.args[0]
                assert _is_constant(text) or _is_passed_on(path, text), f"{path}:{call.lineno}"
                used = {_name(part) for part in ast.walk(text) if isinstance(part, ast.expr)}
                assert not used & unmarked, f"{path}:{call.lineno}: mark the text with gettext_noop"
    assert seen > 50


def _texts_without_mark(tree: ast.Module) -> set[str]:
    """Return the names of a module's constants with sentences that `make texts` does not find."""
    return {
        _name(node.targets[0])
        for node in tree.body
        if isinstance(node, ast.Assign) and any(_is_sentence(value) for value in _values(node.value))
    }


def _values(node: ast.expr) -> list[ast.expr]:
    """Return the values of a dictionary, or the expression itself."""
    return [value for value in node.values if value] if isinstance(node, ast.Dict) else [node]


def _is_sentence(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and " " in str(node.value)


def test_the_listed_sentences_of_decoders_are_those_of_the_checker() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "checker/pixels").rglob("*.py"))
    for sentence in OF_DECODERS:
        assert f'"{sentence}"' in source


def _is_constant(text: ast.expr) -> bool:
    """Return whether the expression is a literal, a constant, an item of one, or a choice of two of these."""
    if isinstance(text, ast.IfExp):
        return _is_constant(text.body) and _is_constant(text.orelse)
    if isinstance(text, ast.Subscript):
        return _is_constant(text.value)
    return isinstance(text, ast.Constant) or _name(text).lstrip("_").isupper()


def _name(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _is_passed_on(path: Path, text: ast.expr) -> bool:
    """Return whether the text is a decoder's sentence that these modules pass on unchanged."""
    return path.name in ("prepare.py", "errors.py") and ast.unparse(text) == "str(error)"
