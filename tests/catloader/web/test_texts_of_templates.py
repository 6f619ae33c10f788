"""Templates have no text outside of gettext, and translated pages contain no English text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import Environment, nodes

import catloader.web
from catloader.languages import catalogue
from checker.values import Verdict
from tests.support.databases import ON_SQLITE
from tests.support.site import Person, check, services_of

TEMPLATES = sorted((Path(catloader.web.__file__).parent / "templates").glob("*.html"))
_SAME_IN_ALL_LANGUAGES = {"CatLoader", "UTC", "ms", "px", "min", "ImageNet"}
_SHOWN_ATTRIBUTES = {"alt", "aria-label", "placeholder", "title"}
_CALLS = {"_", "gettext", "ngettext"}
_WORD = re.compile(r"[A-Za-z]{2,}")


class _Texts(HTMLParser):
    """Collects the words that a page shows, without the words of code and keys."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("code", "kbd", "script", "style"):
            self._inside.append(tag)
        for name, value in attrs:
            if name in _SHOWN_ATTRIBUTES:
                self.words += _WORD.findall(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words += _WORD.findall(data)


def _raw_html(tree: nodes.Template) -> str:
    """Return the HTML of a template without its expressions, which contain the translated texts."""
    return "".join(node.data for node in tree.find_all(nodes.TemplateData))


def _texts_in_expressions(node: nodes.Node) -> Iterator[str]:
    """Yield the texts in expressions that are not arguments of gettext."""
    if isinstance(node, nodes.Call):
        called = getattr(node.node, "name", "") or getattr(node.node, "attr", "")
        if called in _CALLS:
            for value in node.kwargs:
                yield from _texts_in_expressions(value)
            return
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        if re.search(r"^[A-Z][a-z]|[a-z]{2} [a-z]{2}", node.value):
            yield node.value
        return
    for child in node.iter_child_nodes():
        yield from _texts_in_expressions(child)


@pytest.mark.parametrize(
    "path", [path for path in TEMPLATES if path.name != "api.html"], ids=lambda p: p.stem
)
def test_a_template_has_no_text_outside_of_gettext(path: Path) -> None:
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(path.read_text("utf-8"))
    texts = _Texts()
    texts.feed(_raw_html(tree))
    assert set(texts.words) <= _SAME_IN_ALL_LANGUAGES
    assert list(_texts_in_expressions(tree)) == []


def test_the_page_of_the_api_says_that_it_is_in_english() -> None:
    (page,) = (path for path in TEMPLATES if path.name == "api.html")
    assert '<article class="reference" lang="en">' in page.read_text("utf-8")


@ON_SQLITE
def test_pages_in_another_language_show_no_english_text_of_the_catalogue(app: Flask) -> None:
    anna = Person(app, "anna@example.org")
    services_of(app).users.grant(anna.id, "admin")
    cat, unsure, waiting = (anna.upload_one(caption=caption) for caption in ("one", "two", "three"))
    check(app, Verdict.CAT)
    check(app, Verdict.UNSURE)
    services_of(app).album.publish([cat], anna.id, public=True)
    own = f"/photos /photos/{cat} /photos/{unsure} /photos/{waiting} /upload /account /account/tokens /bin"
    staff = "/review /review/audit /review/taken-down /admin /admin/models /admin/users /admin/failed"
    staff += f" /admin/audit /admin/users/{anna.id}"
    for language in ("de", "it"):
        english = {
            message.id
            for message in catalogue(language)
            if isinstance(message.id, str)
            and message.string != message.id
            and "%" not in message.id
            and len(_WORD.findall(message.id)) > 1
        }
        assert len(english) > 200
        shown = 0
        for person, paths in (
            (anna, f"{own} {staff}"),
            (Person(app), f"/ /login /register /album /album/{cat}"),
        ):
            for path in [*paths.split(), "/nothing"]:
                page = html.unescape(person.get(path, **{"Accept-Language": language}).text)
                page = re.sub(r'<script type="application/json".*?</script>', "", page)
                assert f'<html lang="{language}">' in page, path
                assert [text for text in english if text in page] == [], path
                shown += 1
        assert shown > 20


_PERSONS_WORDS = re.compile(
    r"<[^<>]*>\{\{ (?:photo\.caption|review\.note|one\.note|takedown\.note|event\.text) \}\}"
    r"|<[^<>]*>\{\{ (?:item\.appeal|open_appeal)\.reason \}\}"
    r'|<(?:input|textarea)[^>]* name="(?:caption|reason|note)"[^>]*>'
)


def test_texts_of_people_are_written_in_their_own_direction() -> None:
    """Otherwise the full stop of a Hebrew caption would be at the wrong end."""
    parts = [part for path in TEMPLATES for part in _PERSONS_WORDS.findall(path.read_text("utf-8"))]
    assert len(parts) == 16
    assert [part for part in parts if 'dir="auto"' not in part] == []


def test_a_page_with_times_shows_them_in_the_zone_of_the_browser() -> None:
    pages = {path.name: path.read_text("utf-8") for path in TEMPLATES if path.name != "parts.html"}
    with_times = {name for name, page in pages.items() if re.search(r"\btime\(", page)}
    assert len(with_times) > 5
    assert {name for name in with_times if "times.js" not in pages[name]} == {
        "photo.html"
    }  # photos.js does it
