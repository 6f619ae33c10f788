"""The audit log is in the language of the page: each act that the code records has a translatable text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from flask import Flask

from catloader.web.staff.acts import ACTS, shown_act, shown_actor, shown_target
from checker.evaluation.provenance import ROOT
from tests.support.accounts_site import accounts_site
from tests.support.databases import ON_SQLITE
from tests.support.site import Person

_PLACES = {"record": 2, "_change": 3, "choose": 1, "audit_log.add": 1}
"""Functions that record an act -> position of the argument with the act."""
_WITH_VALUES = {"made {}", "decided {}", "set the quota to {}", "re-queued {} photos"}
"""Acts with values, whose texts the test below lists."""


def _recorded() -> set[str]:
    """Return the acts that the code records, with braces instead of values."""
    acts = set()
    for path in sorted((ROOT / "catloader").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            texts: list[ast.expr] = []
            if isinstance(node, ast.Call):
                called = f".{ast.unparse(node.func)}"
                name = next((one for one in _PLACES if called.endswith(f".{one}")), "")
                place = _PLACES.get(name, len(node.args))
                texts = [
                    *node.args[place : place + 1],
                    *(one.value for one in node.keywords if one.arg == "act"),
                ]
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "act":
                texts = [node.value]
            acts |= {_text(one) for one in texts} - {""}
    return acts


def _text(expression: ast.expr) -> str:
    if isinstance(expression, ast.Constant):
        return str(expression.value)
    parts = expression.values if isinstance(expression, ast.JoinedStr) else []
    return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in parts)


def test_each_act_that_the_code_records_has_a_text() -> None:
    recorded = _recorded()
    assert {*_WITH_VALUES, "paused checking", "promoted model", "applied thresholds", "disabled"} < recorded
    assert recorded - _WITH_VALUES - ACTS.keys() == set()


@ON_SQLITE
@pytest.mark.parametrize(
    ("act", "german"),
    [
        ("made admin", "zum Administrator gemacht"),
        ("re-queued failed photos", "fehlgeschlagene Fotos noch einmal prüfen lassen"),
        ("decided not_cat", "entschieden: keine Katze"),
        ("set the quota to 1200 photos, 1572864 bytes", "Kontingent gesetzt: Fotos: 1200; Speicher: 1,5 MB"),
        (
            "set the quota to the usual number of photos, any number of bytes",
            "Kontingent gesetzt: Fotos: die Einstellung der Website; Speicher: keine Grenze",
        ),
        ("jumped <b>", '<span lang="en">jumped &lt;b&gt;</span>'),
    ],
)
def test_acts_are_shown_in_the_language_of_the_page(app: Flask, act: str, german: str) -> None:
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert shown_act(act).replace("\N{NO-BREAK SPACE}", " ") == german


def test_decisions_on_dogs_are_shown_in_the_nominative(tmp_path: Path) -> None:
    with (
        accounts_site(tmp_path, subject="dog") as app,
        app.test_request_context(headers={"Accept-Language": "de"}),
    ):
        assert shown_act("decided not_cat") == "entschieden: kein Hund"
        assert shown_target("5 not_cat") == "5 × kein Hund"


@ON_SQLITE
@pytest.mark.parametrize(
    ("target", "german"),
    [
        ("photo 7", "Foto 7"),
        ("photos 7, 9", "Fotos 7, 9"),
        ("1 photo", "1 Foto"),
        ("50 not_cat", "50 × keine Katze"),
        ("measurement 3", "Messung 3"),
        ("those measured in full", "Vollständig gemessen"),
        ("until 2026-12-06 16:39 UTC", "bis 2026-12-06 16:39 UTC"),
        ("ada@example.org", "ada@example.org"),
        ("2 photos of 1 account in /backup", '<span lang="en">2 photos of 1 account in /backup</span>'),
    ],
)
def test_targets_are_shown_in_the_language_of_the_page(app: Flask, target: str, german: str) -> None:
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert shown_target(target) == german
        assert shown_actor("command line") == "Befehlszeile"


@ON_SQLITE
def test_the_audit_log_of_a_german_administrator_is_german(app: Flask, administrator: Person) -> None:
    page = administrator.get("/admin/audit", **{"Accept-Language": "de"}).text
    assert '<td data-label="Wer">Befehlszeile</td>' in page
    assert '<td data-label="Aktion">zum Administrator gemacht</td>' in page
    assert "made admin" not in page
