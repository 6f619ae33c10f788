"""Accounts through the real forms, on both databases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from catloader.errors import SettingError
from catloader.settings import Settings
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.databases import ON_SQLITE
from tests.support.programs import assert_problem
from tests.support.site import PASSWORD, Person, running_site, services_of


def test_a_new_account_is_logged_in(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    assert "anna@example.org" in anna.get("/account").text
    user = services_of(app).users.by_email("anna@example.org")
    assert user
    assert user.password_hash.startswith("$argon2id$")


def test_a_sign_up_with_an_invalid_e_mail_or_password_is_refused(app: Flask) -> None:
    for email, password, status, says in (
        ("anna@example.org", "too short", 400, "at least 10 characters"),
        ("anna@example.org", "x" * 1001, 400, "at most 1000"),
        ("no address", PASSWORD, 400, "e\N{NON-BREAKING HYPHEN}mail address"),
        ("a\x00b@example.org", PASSWORD, 400, "e\N{NON-BREAKING HYPHEN}mail address"),
        (f"{'x' * 250}@example.org", PASSWORD, 400, "e\N{NON-BREAKING HYPHEN}mail address"),
        ("", "", 400, "e\N{NON-BREAKING HYPHEN}mail address"),
        ("anna@example.org", "anna@example.org", 400, "easy to guess"),
    ):
        answer = Person(app).post("/register", {"email": email, "password": password})
        assert (answer.status_code, says in answer.text) == (status, True), email


def test_unknown_email_and_wrong_password_get_the_same_response(app: Flask) -> None:
    Person.sign_up(app, "anna@example.org")
    answers = []
    for email in ("anna@example.org", "nobody@example.org", "no address", "nul\x00@example.org"):
        answer = Person(app).post("/login", {"email": email, "password": "not the password"})
        text = re.sub(r'(name="csrf_token"|type="email") value="[^"]*"', "", answer.text)
        answers.append((answer.status_code, text))
    assert answers[0][0] == 401
    assert answers == [answers[0]] * 4


def test_the_field_with_the_error_has_the_focus(app: Flask) -> None:
    for email, password, field in (("no address", PASSWORD, "email"), ("a@example.org", "short", "password")):
        page = Person(app).post("/register", {"email": email, "password": password}).text
        focused = [tag for tag in re.findall("<input[^>]*>", page) if " autofocus" in tag]
        assert [f'name="{field}"' in tag for tag in focused] == [True]
        assert ['aria-invalid="true"' in tag for tag in focused] == [True]
        assert page.count("aria-invalid") == 1


def test_pages_need_a_log_in_after_the_log_out(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    assert anna.log_out().status_code == 303
    assert anna.get("/photos").status_code == 303
    assert anna.log_in().location == "/photos"
    assert anna.get("/photos").status_code == 200


@ON_SQLITE
def test_log_in_returns_to_the_requested_page(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    anna.log_out()
    to_login = anna.get("/photos?show=cat")
    assert to_login.location == "/login?next=/photos?show%3Dcat"
    fields = {"email": anna.email, "password": PASSWORD, "next": "/photos?show=cat"}
    assert anna.post("/login", fields).location == "/photos?show=cat"


@ON_SQLITE
def test_log_in_never_redirects_to_another_site(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    for target in (
        "//evil.example",
        "///evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "evil.example",
        "/" + "a" * 3000,
        "//[",
        "//a\u2100b",
    ):
        anna.log_out()
        answer = anna.post("/login", {"email": anna.email, "password": PASSWORD, "next": target})
        assert answer.location == "/photos", target


@ON_SQLITE
def test_a_script_without_a_log_in_gets_a_json_problem(app: Flask) -> None:
    answer = Person(app).get("/api/photos/status?ids=1")
    assert assert_problem(answer, 401) == "You are not logged in, or your session has ended."


@ON_SQLITE
def test_every_form_without_its_token_is_refused(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    photo = anna.upload_one()
    posts = [rule for rule in app.url_map.iter_rules() if rule.methods and "POST" in rule.methods]
    forms = [
        rule
        for rule in posts
        if not rule.rule.startswith("/api/v1/")  # cookies give no access there
        and rule.rule != "/upload/shared"  # it stores nothing, see test_phone_app
    ]
    assert len(forms) >= 7
    for rule in forms:
        path = re.sub("<[^>]*>", str(photo), rule.rule)
        fields = {
            "email": anna.email,
            "password": PASSWORD,
            "old_password": PASSWORD,
            "new_password": "n" * 12,
        }
        for token in ({}, {"csrf_token": "made-up"}):
            answer = anna.client.post(path, data=fields | token)
            assert answer.status_code == 400, path
    assert anna.get(f"/photos/{photo}").status_code == 200


@ON_SQLITE
def test_the_token_of_another_session_is_refused(app: Flask) -> None:
    anna, eve = Person.sign_up(app, "anna@example.org"), Person.sign_up(app, "eve@example.org")
    fields = {"csrf_token": eve.token("/account"), "password": PASSWORD}
    anna.token("/account")
    assert anna.client.post("/account/delete", data=fields).status_code == 400


def test_new_password_ends_all_other_sessions(app: Flask) -> None:
    here = Person.sign_up(app, "anna@example.org")
    there = Person(app)
    there.email = here.email
    there.log_in()
    assert there.get("/photos").status_code == 200

    change = {"old_password": "not the old one", "new_password": "a completely new one"}
    assert here.post("/account/password", change, page="/account").status_code == 403
    change["old_password"] = PASSWORD
    assert (
        here.post("/account/password", {**change, "new_password": "short"}, page="/account").status_code
        == 400
    )
    assert there.get("/photos").status_code == 200
    assert here.post("/account/password", change, page="/account").status_code == 303

    assert here.get("/photos").status_code == 200
    assert there.get("/photos").status_code == 303
    assert there.log_in(PASSWORD).status_code == 401
    assert there.log_in("a completely new one").status_code == 303


def test_deleting_the_account_removes_everything(app: Flask) -> None:
    anna, there = Person.sign_up(app, "anna@example.org"), Person(app)
    there.email = anna.email
    there.log_in()
    photo = anna.upload_one()
    refused = anna.post("/account/delete", {"password": "not it at all"}, page="/account")
    assert (refused.status_code, "The password is wrong" in refused.text) == (403, True)
    assert anna.get(f"/photos/{photo}").status_code == 200

    answer = anna.post("/account/delete", {"password": PASSWORD}, page="/account")
    assert answer.status_code == 200
    for text in (
        "Your account and photos were deleted.",
        anna.email,
        "<dt>Photos</dt><dd>1, 1\N{NO-BREAK SPACE}kB</dd>",
    ):
        assert text in answer.text
    assert "<dt>Files in the photo store</dt><dd>2</dd>" in answer.text
    assert services_of(app).ledger.count() == 2
    assert services_of(app).photos.by_id(photo) is None
    assert there.get("/photos").status_code == 303
    assert anna.log_in().status_code == 401


def test_receipt_says_when_the_last_file_was_deleted_from_the_store(
    app: Flask, objects: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    anna, worker = Person.sign_up(app, "anna@example.org"), services_of(app).deletion
    photo = services_of(app).photos.by_id(anna.upload_one())
    assert photo
    answer = anna.post("/account/delete", {"password": PASSWORD}, page="/account")
    (link,) = re.findall(r'class="secret" href="http://localhost(/deleted/[^"]+)"', answer.text)
    stranger = Person(app)
    page = stranger.get(link).text
    assert "<dd>2 (<time" in page
    assert "Last file removed" not in page
    assert anna.email not in page
    assert worker.work_off() == 2
    page = stranger.get(link).text
    assert "<dd>0 (<time" in page
    assert "Last file removed" in page
    assert "confirmed that the file is gone" in page
    assert not objects.exists(ObjectKind.PHOTO, photo.photo_key)
    assert stranger.get(link[:-1] + "x" * 2).status_code == 404
    assert link.rpartition("/")[2] not in caplog.text


def test_receipt_of_an_account_without_photos_is_done(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    answer = anna.post("/account/delete", {"password": PASSWORD}, page="/account")
    assert "<dt>Files in the photo store</dt><dd>0</dd>" in answer.text
    assert "Reload" not in answer.text


@ON_SQLITE
def test_password_typed_on_another_system_still_matches(app: Flask) -> None:
    anna = Person(app)
    anna.post("/register", {"email": "anna@example.org", "password": "Zauberkünstler"})
    anna.log_out()
    anna.email = "anna@example.org"
    assert anna.log_in("Zauberku\u0308nstler").status_code == 303


def test_log_in_is_limited_per_account_and_sessions_continue(app: Flask) -> None:
    here = Person.sign_up(app, "anna@example.org")
    guesses = [Person(app, REMOTE_ADDR=f"198.51.{n}.7") for n in range(12)]
    for person in guesses:
        person.email = here.email
    assert [person.log_in("not the password").status_code for person in guesses] == [401] * 10 + [429] * 2
    refused = Person(app, REMOTE_ADDR="203.0.113.7")
    refused.email = here.email
    answer = refused.log_in()
    assert answer.status_code == 429, "the right password was checked"
    assert "Too many attempts. Please wait 15 minutes" in answer.text
    assert 'value="anna@example.org"' in answer.text
    assert 890 < int(answer.headers["Retry-After"]) <= 900
    assert here.get("/photos").status_code == 200


def test_guesses_are_counted_across_a_restart(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    statuses = []
    for _ in range(4):
        with running_site(engine, s3_server, objects, tmp_path, password_rate="10 per 15 minutes") as app:
            stranger = Person(app)
            stranger.email = "anna@example.org"
            statuses += [stranger.log_in("a guess").status_code for _ in range(4)]
    assert statuses == [401] * 10 + [429] * 6


@ON_SQLITE
def test_account_page_says_how_long_to_wait_after_too_many_wrong_passwords(app: Flask) -> None:
    anna = Person.sign_up(app, "anna@example.org")
    guess = {"password": "a guess", "old_password": "a guess", "new_password": PASSWORD}
    paths = ["/account/delete", "/account/password"] * 6
    answers = [anna.post(path, guess, page="/account") for path in paths]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429] * 2
    assert "Please wait 15 minutes" in answers[-1].text
    assert int(answers[-1].headers["Retry-After"]) > 800


def test_sign_up_is_limited_per_network(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, register_rate="2 per minute") as app:
        statuses = [
            Person(app, REMOTE_ADDR=f"192.0.{n}.{n}")
            .post("/register", {"email": f"p{n}@example.org", "password": PASSWORD})
            .status_code
            for n in (2, 2, 2, 3)
        ]
    assert statuses == [303, 303, 429, 303]


@pytest.mark.parametrize("setting", ["login_rate", "register_rate", "password_rate"])
def test_a_rate_that_is_not_a_number_per_time_is_refused(setting: str) -> None:
    name = f"CATLOADER_{setting.upper()}"
    with pytest.raises(
        SettingError, match=f"{name} is 'often'; it must be one or more rates, such as 10 per minute"
    ):
        Settings.from_environment({name: "often"})


@ON_SQLITE
def test_the_session_cookie_has_secure_flags(app: Flask) -> None:
    cookie = Person(app).get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert "Secure" in app.test_client().get("/login", base_url="https://localhost").headers["Set-Cookie"]


@ON_SQLITE
@pytest.mark.parametrize("hops", [0, 1])
def test_proxy_headers_count_only_behind_a_configured_proxy(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, hops: int
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, trusted_proxies=hops) as app:
        cookie = Person(app).get("/login", **{"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]
        assert ("Secure" in cookie) is bool(hops)


@ON_SQLITE
@pytest.mark.parametrize(
    ("sender", "to"),
    [
        ("http://localhost/photos/7?show=cat", "/login?next=/photos/7?show%3Dcat"),
        ("http://localhost:8443/account", "/login?next=/account"),
        ("http://localhost/photos/selected", "/login"),  # the page of a form can't be opened by a link
        ("http://localhost//evil.example", "/login"),
        ("http://evil.example/photos/7", "/login"),
        ("http://[", "/login"),
        ("", "/login"),
    ],
)
def test_a_form_of_an_ended_session_leads_back_to_its_page(app: Flask, sender: str, to: str) -> None:
    visitor = Person(app)
    answer = visitor.client.post("/photos/7/caption", data={"caption": "x"}, headers={"Referer": sender})
    assert (answer.status_code, answer.location) == (303, to)
    assert "You are logged out, so nothing was changed." in visitor.get("/login").text


@ON_SQLITE
def test_a_head_request_without_a_log_in_is_not_taken_for_a_form(app: Flask) -> None:
    visitor = Person(app)
    assert visitor.client.head("/photos?show=cat").location == "/login?next=/photos?show%3Dcat"
    assert "so nothing was changed" not in visitor.get("/login").text
