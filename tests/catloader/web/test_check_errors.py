"""Errors of checks are in the language of the page: each sentence of the checker is translated."""

from __future__ import annotations

import ast
import io
import re
import time
import zipfile
from collections.abc import Iterator

import pytest
from flask import Flask

from catloader.web.check_errors import shown_check_error
from checker import errors
from checker.evaluation.provenance import ROOT
from checker.values import Outcome, Rendition
from tests.support.databases import ON_SQLITE
from tests.support.programs import Program, token_of
from tests.support.site import Person, services_of

pytestmark = ON_SQLITE

_NAMES = {
    name
    for name, one in vars(errors).items()
    # The error of a refused model is for operators and not about a photo.
    if isinstance(one, type) and issubclass(one, errors.CheckerError) and name != "ModelRefused"
}
_TEXTS = {"rendition": Rendition, "what": Rendition}
_FOREIGN = ("This computer is asleep.", "The <b>model</b>.")


def _sentences() -> Iterator[tuple[str, str]]:
    """Yield (place, example of the sentence) of each error that a checker writes into the check log."""
    for path in sorted((ROOT / "checker").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith(("checker/folder/", "checker/evaluation/", "checker/testing.py")):
            continue  # not used by a site
        tree = ast.parse(path.read_text("utf-8"))
        constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _name(call.func) in _NAMES and call.args:
                text = constants.get(_name(call.args[0]), call.args[0])
                yield from ((f"{place}:{call.lineno}", example) for example in _examples(text))


def _examples(text: ast.expr) -> list[str]:
    """Return the possible texts of an expression; none if it passes on another error's text."""
    if isinstance(text, ast.Constant):
        return [str(text.value)]
    if not isinstance(text, ast.JoinedStr):
        return []
    examples = [""]
    for part in text.values:
        values = [str(part.value)] if isinstance(part, ast.Constant) else ["bad: (x) 7."]
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
            values = list(_TEXTS.get(part.value.id, values))
        examples = [example + value for example in examples for value in values]
    return examples


def _name(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


@pytest.mark.parametrize("language", ["de", "it"])
def test_every_sentence_of_the_checker_is_translated(app: Flask, language: str) -> None:
    sentences = list(_sentences())
    assert len(sentences) > 20
    with app.test_request_context(headers={"Accept-Language": language}):
        for place, sentence in sentences:
            shown = shown_check_error(sentence)
            assert "lang=" not in shown, f"{place}: list it in catloader/web/check_errors.py: {sentence}"
            assert shown != sentence


def test_an_unknown_error_is_marked_as_english_and_escaped(app: Flask) -> None:
    for text in _FOREIGN:
        with app.test_request_context(headers={"Accept-Language": "de"}):
            assert re.fullmatch(r'<span lang="en">.*</span>', shown_check_error(text))
            assert "<b>" not in shown_check_error(text)
        with app.test_request_context(headers={"Accept-Language": "en"}):
            assert shown_check_error(text) == text


def test_a_long_error_is_matched_in_less_than_a_second(app: Flask) -> None:
    text = "The object store at " + " refused  (" * 2000
    with app.test_request_context(headers={"Accept-Language": "de"}):
        started_s = time.process_time()
        assert shown_check_error(text).startswith('<span lang="en">The object store')
        assert time.process_time() - started_s < 1


def test_pages_show_the_errors_of_checks_in_their_language(app: Flask, anna: Person) -> None:
    services_of(app).users.grant(anna.id, "admin")
    photo = anna.upload_one()
    (claim,) = services_of(app).queue.claim(1)
    error = "The photo can't be decoded: 7 <b>bytes</b> are missing."
    services_of(app).queue.finish([Outcome(claim, error=error, unreadable=True)])
    for language, sentence in (
        ("de", "Das Foto kann nicht dekodiert werden: 7 &lt;b&gt;bytes&lt;/b&gt; are missing."),
        ("it", "Impossibile decodificare la foto: 7 &lt;b&gt;bytes&lt;/b&gt; are missing."),
        ("en", "The photo can&#39;t be decoded: 7 &lt;b&gt;bytes&lt;/b&gt; are missing."),
    ):
        for path in (f"/photos/{photo}", "/admin", "/admin/failed?status=unreadable"):
            page = anna.get(path, **{"Accept-Language": language}).text
            assert sentence in page, path
            assert ("The photo can&#39;t be decoded" in page) == (language == "en"), path


@pytest.mark.parametrize(
    "error",
    [
        "The object store at https://10.0.0.7:8333 did not answer: no route.",
        "The server at https://10.0.0.7:8333 redirects to https://10.0.0.8.",
        "The database cats at 10.0.0.7:5432 does not answer: no route.",
    ],
)
@pytest.mark.parametrize("retryable", [True, False])
def test_owners_do_not_see_the_addresses_of_servers(
    app: Flask, anna: Person, error: str, *, retryable: bool
) -> None:
    photo = anna.upload_one()
    (claim,) = services_of(app).queue.claim(1)
    services_of(app).queue.finish([Outcome(claim, error=error, retryable=retryable)])
    verdict = Program(app, token_of(app, anna)).get(f"/api/v1/photos/{photo}/verdict")
    for shown in (anna.get(f"/photos/{photo}").text, verdict.text):
        assert "The storage of this site failed." in shown
        assert "10.0.0." not in shown
    with (
        anna.get("/account/export") as export,
        zipfile.ZipFile(io.BytesIO(export.data)) as archive,
    ):
        verdicts = next(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    assert b"The storage of this site failed." in verdicts
    assert b"10.0.0." not in verdicts
    services_of(app).users.grant(anna.id, "admin")
    assert ("10.0.0.7" in anna.get("/admin/failed").text) != retryable
