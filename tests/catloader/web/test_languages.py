"""The language of a page: the account's, else the browser's, else English. Programs get English."""

from __future__ import annotations

from flask import Flask

from tests.support.site import PASSWORD, Person


def test_a_page_is_in_the_language_that_the_browser_asks_for(app: Flask) -> None:
    visitor = Person(app)
    for asked, language, text in (
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Anmelden"),
        ("it", "it", "Accedi"),
        ("fr,it;q=0.3,de;q=0.1", "it", "Accedi"),
        ("en-GB,de;q=0.9", "en", "Log in"),
        ("fr", "en", "Log in"),
        ("", "en", "Log in"),
        ("*", "en", "Log in"),
        ("de;q=0", "en", "Log in"),
    ):
        answer = visitor.get("/login", **{"Accept-Language": asked})
        assert f'<html lang="{language}">' in answer.text, asked
        assert text in answer.text
        assert {"accept-language", "cookie"} <= {name.lower() for name in answer.vary}


def test_an_error_is_in_the_language_of_the_page_and_in_english_for_programs(app: Flask) -> None:
    visitor, german = Person(app), {"Accept-Language": "de"}
    assert "Seite nicht gefunden" in visitor.get("/nothing", **german).text
    wrong = visitor.post("/login", {"email": "a@example.org", "password": "x"}, **german)
    assert "E-Mail oder Passwort ist falsch." in wrong.text
    program = visitor.get("/api/v1/photos", **german)
    assert program.status_code == 401
    assert "needs an API token" in program.json["detail"]  # type: ignore[index]


def test_e_mail_is_not_broken_at_its_hyphen(app: Flask) -> None:
    anna = Person(app, "anna@example.org")
    for language, whole in (("en", "Change e%smail"), ("de", "E%sMail-Adresse"), ("it", "indirizzo e%smail")):
        texts = anna.get("/account", **{"Accept-Language": language}).text
        texts += anna.post("/account/email", {"email": "x"}, "/account", **{"Accept-Language": language}).text
        texts += anna.post(
            "/account/email",
            {"email": "x", "password": PASSWORD},
            "/account",
            **{"Accept-Language": language},
        ).text
        assert whole % "\N{NON-BREAKING HYPHEN}" in texts
        assert whole % "-" not in texts


def test_files_that_are_the_same_in_all_languages_do_not_vary(app: Flask) -> None:
    with Person(app).get("/static/site.css") as answer:
        assert "Accept-Language" not in answer.headers.get("Vary", "")
