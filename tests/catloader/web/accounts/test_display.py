"""The language of an account, and the theme of a browser."""

from __future__ import annotations

import re

from flask import Flask

from tests.support.databases import ON_SQLITE
from tests.support.site import Person, services_of

pytestmark = ON_SQLITE


def test_an_account_keeps_its_language_in_every_browser(app: Flask, anna: Person) -> None:
    saved = anna.post("/account/display", {"language": "it", "theme": ""}, page="/account")
    assert saved.status_code == 303
    page = anna.get("/account", **{"Accept-Language": "de"}).text
    assert '<html lang="it">' in page
    assert "Aspetto salvato." in page
    assert '<option value="it" lang="it" selected>Italiano</option>' in page
    phone = Person(app)
    phone.email = anna.email
    phone.log_in()
    assert '<html lang="it">' in phone.get("/photos").text
    assert '<html lang="en">' in Person(app).get("/login").text
    anna.post("/account/display", {"language": "", "theme": ""}, page="/account")
    assert services_of(app).users.by_email(anna.email).language is None  # type: ignore[union-attr]
    assert '<html lang="de">' in anna.get("/account", **{"Accept-Language": "de"}).text


def test_a_browser_keeps_its_theme_without_a_script(app: Flask, anna: Person) -> None:
    page = anna.get("/photos").text
    assert re.search(r'dark\.css\?v=\w+" media="screen and \(prefers-color-scheme: dark\)"', page)
    assert '<meta name="theme-color" content="#171411" media="(prefers-color-scheme: dark)">' in page
    assert '<meta name="theme-color" content="#faf8f5">' in page
    anna.post("/account/display", {"theme": "dark"}, page="/account")
    page = anna.get("/photos").text
    assert '<html lang="en" data-theme="dark">' in page
    assert re.search(r'dark\.css\?v=\w+" media="screen"', page)
    assert re.findall('"theme-color" (.*)>', page) == ['content="#171411"']
    anna.log_out()
    assert 'data-theme="dark"' in anna.get("/login").text
    anna.log_in()
    anna.post("/account/display", {"theme": "light"}, page="/account")
    page = anna.get("/photos").text
    assert '<meta name="color-scheme" content="light">' in page
    assert "dark.css" not in page
    assert re.findall('"theme-color" (.*)>', page) == ['content="#faf8f5"']
    assert "data-theme" not in Person(app).get("/login").text


def test_other_languages_and_themes_are_refused(anna: Person) -> None:
    for fields in ({"language": "fr"}, {"theme": "blue"}, {"language": "../de"}):
        assert anna.post("/account/display", fields, page="/account").status_code == 400
    anna.client.set_cookie("catloader_theme", '"><script>')
    assert "data-theme" not in anna.get("/account").text
