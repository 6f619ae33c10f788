"""Sessions of browsers: how they begin and end, and that no later request revives one."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask, request
from sqlalchemy import Engine, event, select, update
from werkzeug.test import TestResponse

from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import sessions
from catloader.web.http import cookies
from tests.support.accounts_site import accounts_site
from tests.support.locked_writes import locked_for
from tests.support.site import PASSWORD, Person, jpeg, services_of


def _copy_of(person: Person) -> Person:
    """Return another browser that has the person's session cookie."""
    thief, cookie = Person(person.app), person.client.get_cookie(cookies.SESSION)
    assert cookie
    thief.client.set_cookie(cookies.SESSION, cookie.value)
    return thief


def test_captured_cookie_is_invalid_after_the_log_out(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    thief = _copy_of(anna)
    assert thief.get("/photos").status_code == 200
    anna.log_out()
    assert thief.get("/photos").status_code == 303
    anna.log_in()
    assert thief.get("/photos").status_code == 303


def test_cookie_with_another_signature_is_refused(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    thief, cookie = _copy_of(anna), anna.client.get_cookie(cookies.SESSION)
    assert cookie
    other = cookie.value[:-1] + ("0" if cookie.value[-1] != "0" else "1")
    thief.client.set_cookie(cookies.SESSION, other)
    assert thief.get("/photos").status_code == 303
    assert anna.get("/photos").status_code == 200


def test_cookies_of_another_program_on_this_host_do_not_interfere(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    cookie = anna.client.get_cookie(cookies.SESSION)
    assert cookie
    others = (
        f"{cookies.SESSION}=of-another",
        f"{cookies.SESSION}={'0' * 43}.{'0' * 32}",
        f"{cookies.FORM}=x",
    )
    sent = "; ".join([*others, f"{cookies.SESSION}={cookie.value}", "theme=é; broken; =x"])
    browser = app.test_client(use_cookies=False)
    headers = {"Cookie": sent}
    page = browser.get("/account", headers=headers).text
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    assert browser.post("/logout", data={"csrf_token": token}, headers=headers).status_code == 303
    assert anna.get("/photos").status_code == 303


def test_log_ins_of_two_sites_under_one_host_name_coexist(tmp_path: Path) -> None:
    """Browsers send the same cookies to every port of a host."""
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    with accounts_site(folders[0]) as one, accounts_site(folders[1]) as two:
        here = Person.sign_up(one, "anna@example.org")
        there = Person(two)

        def carry(source: Person, target: Person) -> None:
            cookie = source.client.get_cookie(cookies.SESSION)
            target.client.delete_cookie(cookies.SESSION)
            if cookie:
                target.client.set_cookie(cookies.SESSION, cookie.value)

        carry(here, there)
        there.email = "anna@example.net"
        assert there.post("/register", {"email": there.email, "password": PASSWORD}).status_code == 303
        carry(there, here)
        assert [person.get("/account").status_code for person in (here, there)] == [200, 200]
        here.log_out()
        carry(here, there)
        assert [person.get("/account").status_code for person in (here, there)] == [303, 200]
        there.log_out()
        assert there.client.get_cookie(cookies.SESSION) is None


@pytest.mark.parametrize("ending", ["password", "reset", "deletion"])
def test_captured_cookie_ends_with_password_and_account(app: Flask, ending: str) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    thief = _copy_of(anna)
    if ending == "password":
        change = {"old_password": PASSWORD, "new_password": "a completely new one"}
        assert anna.post("/account/password", change, page="/account").status_code == 303
        assert anna.get("/photos").status_code == 200
    elif ending == "reset":
        services_of(app).users.set_password(anna.id, "a hash")
    else:
        assert anna.post("/account/delete", {"password": PASSWORD}, page="/account").status_code == 200
    assert thief.get("/photos").status_code == 303


def _forgets(page: TestResponse) -> bool:
    """Return whether the page makes the browser delete the photos that wait there."""
    return " data-forget>" in page.text and "this-account.js" in page.text


@pytest.mark.parametrize("is_ended", [True, False])
def test_a_browser_forgets_waiting_photos_if_its_session_was_ended_and_not_if_it_expired(
    app: Flask, engine: Engine, is_ended: bool
) -> None:
    anna, stranger = Person.sign_up(app, "anna@example.org"), Person(app)
    phone = _copy_of(anna)
    phone.email = anna.email
    assert not _forgets(phone.get("/photos"))
    if is_ended:
        services_of(app).sessions.end_all(anna.id)
    else:
        with writing(engine) as connection:
            connection.execute(update(sessions).values(used_at=utcnow() - timedelta(days=15)))
        bert = Person.sign_up(app, "bert@example.org")
        bert.log_out()
        bert.log_in()  # a log-in deletes old sessions
    for path in ("/", "/login", "/nothing-here", "/login"):
        assert _forgets(phone.get(path)) is is_ended, path
        assert not _forgets(stranger.get(path)), path
    # A person may log in before the script of the log-in page runs. Then the next page runs it, once.
    assert phone.log_in().status_code == 303
    assert [_forgets(phone.get("/photos")) for _ in range(2)] == [is_ended, False]


def test_only_log_in_sets_the_session_cookie_and_only_pages_prolong_the_session(
    app: Flask, engine: Engine
) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    photo = anna.upload_one()
    hour_ago = utcnow() - timedelta(hours=1)

    def used_at_after(path: str) -> tuple[TestResponse, bool]:
        with writing(engine) as connection:
            connection.execute(update(sessions).values(used_at=hour_ago))
        answer = anna.get(path)
        answer.close()
        with reading(engine) as connection:
            return answer, connection.execute(select(sessions.c.used_at)).scalar_one() > hour_ago

    for path in (
        f"/photos/{photo}/thumbnail.jpg",
        f"/photos/{photo}/photo.jpg",
        f"/api/photos/status?ids={photo}",
        "/api/form",
        "/static/site.css",
        "/healthz",
        "/readyz",
        "/nix",
        "/photos/999",
    ):
        answer, prolonged = used_at_after(path)
        assert (answer.headers.getlist("Set-Cookie"), prolonged) == ([], False), path
    for path in ("/photos", "/upload", "/account", f"/photos/{photo}"):
        answer, prolonged = used_at_after(path)
        assert (answer.headers.getlist("Set-Cookie"), prolonged) == ([], True), path


def test_a_response_that_ends_after_the_log_out_does_not_restore_the_session(
    own_app: Flask, engine: Engine
) -> None:
    """One tab logs out while the site is still rendering a page for another tab."""
    other_tab = Person(own_app)

    def slow() -> str:
        assert other_tab.log_out().status_code == 303
        return "<!doctype html>"

    own_app.add_url_rule("/slow", view_func=slow)
    anna = Person.sign_up(own_app, "anna@example.org")
    cookie = anna.client.get_cookie(cookies.SESSION)
    assert cookie
    other_tab.client.set_cookie(cookies.SESSION, cookie.value)
    with writing(engine) as connection:
        connection.execute(update(sessions).values(used_at=utcnow() - timedelta(hours=1)))
    late = anna.get("/slow")
    assert (late.status_code, late.headers.getlist("Set-Cookie")) == (200, [])
    assert anna.get("/photos").status_code == 303


@pytest.mark.parametrize("path", ["/logout", "/account/sessions/end"])
def test_a_password_that_is_changed_during_the_log_out_of_another_tab_does_not_undo_it(
    own_app: Flask, path: str
) -> None:
    other_tab = Person(own_app)

    @own_app.before_request
    def log_out_meanwhile() -> None:
        if request.endpoint == "auth.change_password":
            with ThreadPoolExecutor(1) as thread:  # a request within a request of one thread would share `g`
                log_out = thread.submit(other_tab.post, path, page="/account")
            assert log_out.result().status_code == 303

    anna = Person.sign_up(own_app, "anna@example.org")
    cookie = anna.client.get_cookie(cookies.SESSION)
    assert cookie
    other_tab.client.set_cookie(cookies.SESSION, cookie.value)
    change = {"old_password": PASSWORD, "new_password": "a completely new one"}
    late = anna.post("/account/password", change, page="/account")
    assert late.status_code == 303
    assert not any(text.startswith(cookies.SESSION) for text in late.headers.getlist("Set-Cookie"))
    to_login = anna.get(late.location)
    assert to_login.location.startswith("/login")
    assert "Password changed." in anna.get(to_login.location).text
    assert anna.log_in("a completely new one").status_code == 303


def test_a_log_out_between_the_new_password_and_its_new_session_is_final(app: Flask) -> None:
    """The log-out runs just before the transaction that begins the session, whichever one this is."""
    anna, here = Person.sign_up(app, "anna@example.org"), threading.get_ident()
    transactions: list[list[str]] = []
    engine, logs_out_before = services_of(app).engine, 0

    def begun(*_: object) -> None:
        if threading.get_ident() != here:
            return
        transactions.append([])
        if len(transactions) == logs_out_before:
            with ThreadPoolExecutor(1) as thread:
                assert thread.submit(other_tab.client.post, "/logout").result().status_code == 303

    def executed(_1: object, _2: object, statement: str, *_: object) -> None:
        if threading.get_ident() == here:
            transactions[-1].append(statement)

    def change(old: str, new: str) -> TestResponse:
        form = {"csrf_token": anna.token("/account"), "old_password": old, "new_password": new}
        transactions.clear()
        return anna.client.post("/account/password", data=form)

    event.listen(engine, "checkout", begun)
    event.listen(engine, "before_cursor_execute", executed)
    try:
        assert change(PASSWORD, "a completely new one").status_code == 303
        begins = [any("INSERT INTO sessions" in one for one in statements) for statements in transactions]
        assert begins.count(True) == 1
        logs_out_before = begins.index(True) + 1
        other_tab = _copy_of(anna)
        late = change("a completely new one", PASSWORD)
    finally:
        event.remove(engine, "checkout", begun)
        event.remove(engine, "before_cursor_execute", executed)
    assert len(transactions) >= logs_out_before
    assert not any(text.startswith(cookies.SESSION) for text in late.headers.getlist("Set-Cookie"))
    assert anna.get(late.location).location.startswith("/login")
    assert anna.log_in().status_code == 303


def test_log_in_begins_a_new_session_and_ends_the_previous_one(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    anna.log_out()
    tab = anna.token("/login")
    anna.log_in()
    before = _copy_of(anna)
    again = {"email": anna.email, "password": PASSWORD, "csrf_token": tab}
    assert anna.client.post("/login", data=again).status_code == 303
    assert before.get("/photos").status_code == 303
    anna.log_out()
    anna.client.set_cookie(cookies.SESSION, "planted-by-somebody-who-knows-it")
    assert anna.log_in().status_code == 303
    cookie = anna.client.get_cookie(cookies.SESSION)
    assert cookie
    assert len(cookie.value) >= 43


@pytest.mark.parametrize(("column", "days"), [("used_at", 15), ("created_at", 91)])
def test_idle_and_old_sessions_are_logged_out(app: Flask, engine: Engine, column: str, days: int) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    for age, status in ((days - 2, 200), (days, 303)):
        with writing(engine) as connection:
            connection.execute(update(sessions).values({column: utcnow() - timedelta(days=age)}))
        assert anna.get("/photos").status_code == status


def test_cookies_behind_tls_are_bound_to_the_host(app: Flask) -> None:
    client = app.test_client()
    secure = {"base_url": "https://localhost"}
    page = client.get("/register", **secure)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    form = {"csrf_token": token[1], "email": "anna@example.org", "password": PASSWORD}
    answer = client.post("/register", data=form, **secure)
    assert answer.status_code == 303, answer.text
    set_cookies = page.headers.getlist("Set-Cookie") + answer.headers.getlist("Set-Cookie")
    assert {text.partition("=")[0] for text in set_cookies} == {
        "__Host-catloader_form",
        "__Host-catloader_session",
    }
    for text in set_cookies:
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(text.split("; ")), text
        assert "Domain" not in text
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert client.get("/photos", **secure).status_code == 200
    plain = app.test_client().get("/register")
    assert "Strict-Transport-Security" not in plain.headers


def _shape(answer: TestResponse) -> list[str]:
    """Return status, headers and body of a response, without the random part of the cookie."""
    headers = [f"{name}: {value}" for name, value in answer.headers if name != "X-Request-Id"]
    text = "\n".join([answer.status, *headers, answer.text])
    return re.sub(r"(catloader_\w+=)[^;]+|(Expires=)[^;]+", r"\1\2", text).splitlines()


def test_sign_up_responds_to_registered_and_new_e_mails_alike(app: Flask) -> None:
    Person.sign_up(app, "anna@example.org")
    known, new = Person(app), Person(app)
    answers = [
        person.post("/register", {"email": email, "password": "another horse battery"})
        for person, email in ((known, "Anna@example.org"), (new, "bert@example.org"))
    ]
    assert answers[0].status_code == 303
    assert _shape(answers[0]) == _shape(answers[1])
    assert "Welcome! Your account is ready." in new.get(answers[1].location).text
    # The next page says that the account exists, and does not give access to it.
    to_login = known.get(answers[0].location)
    assert to_login.location.startswith("/login?next=/upload")
    page = known.get(to_login.location).text
    assert "If you already had an account, its password has not changed." in page
    known.email = "anna@example.org"
    assert known.log_in("another horse battery").status_code == 401
    assert known.log_in().status_code == 303


def test_photo_of_another_account_is_not_found_with_an_ended_session(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    photo = anna.upload_one(jpeg())
    thief = _copy_of(anna)
    anna.log_out()
    assert thief.get(f"/photos/{photo}/photo.jpg").status_code == 404


def test_a_page_is_served_although_the_use_of_its_session_cannot_be_recorded(
    app: Flask, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    engine = services_of(app).engine
    with writing(engine) as connection:
        connection.execute(update(sessions).values(used_at=utcnow() - timedelta(hours=1)))
    with locked_for(engine, "UPDATE sessions") as refused:
        assert anna.get("/photos").status_code == 200
    assert refused
    assert "the use of a session was not recorded" in caplog.text
