"""A page is in the language of the account, else of the browser, else in English. Programs get English."""

from __future__ import annotations

import struct
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from catloader.errors import (
    CatLoaderError,
    InvalidInput,
    TooManyAttempts,
    TooManyBytes,
    TooManyFiles,
    TooManyPixels,
)
from catloader.intake.prepare import Limits, prepare
from catloader.languages import ngettext_noop
from catloader.web.formats import shown_date, shown_number, shown_time
from catloader.web.languages import translated
from catloader.web.photos.nouns import noun_of
from tests.support.accounts_site import accounts_site
from tests.support.databases import ON_SQLITE
from tests.support.programs import Program, assert_problem, token_of
from tests.support.site import PASSWORD, Person, jpeg, services_of
from tests.support.tus import PATH, Tus


@ON_SQLITE
def test_a_page_is_in_the_language_that_the_browser_asks_for(app: Flask) -> None:
    visitor = Person(app)
    for header, language, text in (
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Anmelden"),
        ("it", "it", "Accedi"),
        ("fr,it;q=0.3,de;q=0.1", "it", "Accedi"),
        ("en-GB,de;q=0.9", "en", "Log in"),
        ("fr", "en", "Log in"),
        ("", "en", "Log in"),
        ("*", "en", "Log in"),
        ("de;q=0", "en", "Log in"),
    ):
        answer = visitor.get("/login", **{"Accept-Language": header})
        assert f'<html lang="{language}">' in answer.text, header
        assert text in answer.text
        assert {"accept-language", "cookie"} <= {name.lower() for name in answer.vary}


@ON_SQLITE
def test_dates_and_numbers_are_in_the_browsers_variety_of_the_language(app: Flask) -> None:
    day = datetime(2026, 11, 5, tzinfo=UTC)
    for asked, date, number in (
        ("en-US,en;q=0.9", "Nov 5, 2026", "0.5"),
        ("fr,en-CA;q=0.5", "Nov 5, 2026", "0.5"),
        ("en-GB", "5 Nov 2026", "0.5"),
        ("fr", "5 Nov 2026", "0.5"),
        ("en-x-private;q=0.5, en-!!, en-US;q=0", "5 Nov 2026", "0.5"),
        ("de-AT", "05.11.2026", "0,5"),
        ("de-CH", "05.11.2026", "0.5"),
    ):
        with app.test_request_context(headers={"Accept-Language": asked}):
            assert (shown_date(day), shown_number(0.5, 1)) == (date, number), asked


@ON_SQLITE
def test_days_are_those_of_the_browsers_time_zone(app: Flask, tmp_path: Path) -> None:
    """The zone has its former name in the browser, and only its present name here, as on Debian 13."""
    counts, india = struct.pack(">6l", 0, 0, 0, 0, 1, 4), struct.pack(">lbB", 19_800, 0, 0)
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia/Kolkata").write_bytes(b"TZif".ljust(20, b"\0") + counts + india + b"IST\0")
    evening = datetime(2026, 12, 30, 19, tzinfo=UTC)
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        for name, day in (
            ("Asia/Kolkata", "31 Dec 2026"),
            ("Asia/Calcutta", "31 Dec 2026"),
            ("Asia", "30 Dec 2026"),
            ("", "30 Dec 2026"),
        ):
            headers = {"Cookie": f"catloader_zone={name}", "Accept-Language": "en-GB"}
            with app.test_request_context(headers=headers):
                assert (shown_date(evening), shown_time(evening)) == (day, "30 Dec 2026, 19:00 UTC"), name
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


@ON_SQLITE
def test_an_error_is_in_the_language_of_the_page_and_in_english_for_programs(app: Flask) -> None:
    visitor, german = Person(app), {"Accept-Language": "de"}
    assert "Seite nicht gefunden" in visitor.get("/nothing", **german).text
    wrong = visitor.post("/login", {"email": "a@example.org", "password": "x"}, **german)
    assert "E-Mail oder Passwort ist falsch." in wrong.text
    program = visitor.get("/api/v1/photos", **german)
    assert program.status_code == 401
    assert "needs an API token" in program.json["detail"]  # type: ignore[index]


def test_a_resumable_upload_gets_its_errors_in_the_language_of_the_page_or_in_english(
    app: Flask, anna: Person
) -> None:
    services_of(app).users.set_language(anna.id, "de")
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "0"}
    page = Tus(anna).begin(0)
    program = Program(app, token_of(app, anna)).send("POST", PATH, {**tus, "Accept-Language": "de"})
    assert page.json and page.json["error"] == "Diese Datei ist leer."
    assert assert_problem(program, 400) == "This file is empty."
    unknown = Program(app, "invented").send("POST", PATH, {**tus, "Accept-Language": "de"})
    assert assert_problem(unknown, 401) == "This API token is unknown, revoked or expired."


@ON_SQLITE
@pytest.mark.parametrize(
    ("language", "size", "pixels"),
    [("de", "1,5 MB", "1,01"), ("en", "1.5 MB", "1.01"), ("de-CH", "1.5 MB", "1.01")],
)
def test_the_limits_in_a_refusal_have_the_decimal_separator_of_the_language(
    app: Flask, language: str, size: str, pixels: str
) -> None:
    limits = Limits(3 * 2**19, 1_000_000, 1, 1, 88)
    with pytest.raises(TooManyBytes) as large:
        prepare(bytes(limits.max_bytes + 1), limits=limits)
    with pytest.raises(TooManyPixels) as wide:
        prepare(jpeg(size=(1010, 1000)), limits=limits)
    with app.test_request_context(headers={"Accept-Language": language}):
        assert f" {size}" in translated(large.value)
        assert f" {pixels} " in translated(wide.value)
        assert translated(InvalidInput("%(name)s", name="a 1.5 b")) == "a 1.5 b"


@ON_SQLITE
@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "en",
            ("wait 1 second before", "wait 2 seconds before", "1 photo at a time", "100 photos at a time"),
        ),
        ("de", ("warte 1 Sekunde,", "warte 2 Sekunden,", "1 Foto auf einmal", "100 Fotos auf einmal")),
        ("it", ("Aspetta 1 secondo", "Aspetta 2 secondi", "1 foto alla volta", "100 foto alla volta")),
    ],
)
def test_an_error_with_a_number_has_a_singular_and_a_plural(
    app: Flask, language: str, sentences: tuple[str, ...]
) -> None:
    files = ngettext_noop(
        "You can upload %(num)d photo at a time.", "You can upload up to %(num)d photos at a time."
    )
    errors: list[CatLoaderError] = [TooManyAttempts(1), TooManyAttempts(2)]
    errors += [TooManyFiles(files, num=1), TooManyFiles(files, num=100)]
    with app.test_request_context(headers={"Accept-Language": language}):
        for error, sentence in zip(errors, sentences, strict=True):
            assert sentence in translated(error)
            if language == "en":
                assert str(error) == translated(error)


def test_limits_of_one_are_in_the_singular(tmp_path: Path) -> None:
    limits = {"max_files": 1, "quota_photos": 1, "max_api_tokens": 1, "sweep_s": 1.0}
    with accounts_site(tmp_path, **limits) as app:
        anna = Person.sign_up(app, "anna@example.org")
        page = anna.get("/upload").text
        assert "1 photo at a time." in page
        assert "You use 0 of 1 photo." in page
        german = anna.get("/upload", **{"Accept-Language": "de"}).text
        assert "Du nutzt 0 von 1 Foto." in german
        token = {"name": "camera", "scope": "photos:read", "password": PASSWORD}
        assert anna.post("/account/tokens", token, page="/account/tokens").status_code == 201
        full = anna.post("/account/tokens", token, page="/account/tokens")
        assert "An account has up to 1 token. Revoke it first." in full.text
        services_of(app).users.grant(anna.id, "admin")
        promoted = anna.post("/admin/models/promote", {"model": "efficientnet_lite0"}, page="/admin/models")
        assert promoted.status_code == 303
        assert "within 1 second," in anna.get("/admin/models").text


@ON_SQLITE
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


@ON_SQLITE
def test_german_nouns_have_two_cases(app: Flask) -> None:
    with app.test_request_context(headers={"Accept-Language": "de"}):
        dog = noun_of("dog")
        assert (dog.no, dog.no_title, dog.no_label) == ("keinen Hund", "Kein Hund", "kein Hund")
        other = noun_of("red_panda")
        assert (other.no_title, other.no_label) == ("Kein „red panda“", "kein „red panda“")


@ON_SQLITE
def test_files_that_are_the_same_in_all_languages_do_not_vary(app: Flask) -> None:
    with Person(app).get("/static/site.css") as answer:
        assert "Accept-Language" not in answer.headers.get("Vary", "")
