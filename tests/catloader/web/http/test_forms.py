"""Form tokens of sessions, visitors and other tabs, and the origin of requests."""

from __future__ import annotations

import time
from io import BytesIO

import pytest
from flask import Flask, g

from catloader.web.http import cookies, forms
from tests.support.databases import ON_SQLITE
from tests.support.site import PASSWORD, Person, jpeg, services_of

pytestmark = ON_SQLITE

CREDENTIALS = {"email": "anna@example.org", "password": PASSWORD}


def test_the_second_of_two_log_in_tabs_logs_in(anna: Person) -> None:
    anna.log_out()
    first, second = anna.token("/login"), anna.token("/login")
    assert first != second
    for token in (first, second):
        answer = anna.client.post("/login", data={**CREDENTIALS, "csrf_token": token})
        assert (answer.status_code, answer.location) == (303, "/photos")
    assert anna.get("/photos").status_code == 200


def test_the_token_of_a_visitor_is_refused_by_forms_of_an_account(anna: Person) -> None:
    anna.log_out()
    visitors = anna.token("/login")
    anna.log_in()
    for path, fields in (
        ("/logout", {}),
        ("/account/delete", {"password": PASSWORD}),
        ("/upload", {"caption": "x"}),
    ):
        answer = anna.client.post(path, data={"csrf_token": visitors, **fields})
        assert (answer.status_code, "This form has expired" in answer.text) == (400, True)
    assert anna.get("/photos").status_code == 200


def test_the_token_ends_with_its_session(anna: Person) -> None:
    before = anna.token("/upload")
    anna.log_out()
    anna.log_in()
    assert anna.client.post("/logout", data={"csrf_token": before}).status_code == 400
    assert anna.client.post("/logout", data={"csrf_token": anna.token("/account")}).status_code == 303


def test_an_upload_page_is_valid_for_later_sessions_of_its_account_and_for_no_others(
    app: Flask, anna: Person
) -> None:
    page = anna.token("/upload")
    anna.log_out()
    anna.log_in()
    eve = Person(app, "eve@example.org")

    def status(person: Person, token: str, path: str = "/upload") -> int:
        return person.client.post(
            path, data={"csrf_token": token, "photos": (BytesIO(jpeg()), "a.jpg")}
        ).status_code

    assert status(anna, page) == 303
    assert [status(eve, page), status(Person(app), page), status(anna, page, "/account/display")] == [
        400,
        303,
        400,
    ]
    salt, mac, begun_s, of_account = page.split(".")
    for forged in (
        f"{salt}.{mac}",
        f"{salt}.{mac}.{int(begun_s) + 1}.{of_account}",
        f"{salt}.{mac}.{begun_s}.{mac}",
        f"..{begun_s}x.{of_account}",
        "é.é.é.é",
    ):
        assert status(anna, forged) == 400, forged
    day_before = int(time.time()) - 24 * 3600
    for begun, expected in ((day_before - 1, 400), (day_before + 60, 303)):
        with app.test_request_context():
            g.user = services_of(app).users.by_id(anna.id)
            of_account = forms._mac_of_account(begun)
        assert status(anna, f"{salt}.{mac}.{begun}.{of_account}") == expected
    assert len(anna.photos) == 2


def test_a_script_gets_a_fresh_token_of_the_account_that_is_logged_in(app: Flask, anna: Person) -> None:
    old = anna.token("/account")
    anna.log_out()
    anna.log_in()
    json = {"Accept": "application/json"}
    refused = anna.client.post("/upload", headers={**json, "X-CSRFToken": old})
    assert (refused.status_code, refused.json) == (
        400,
        {
            "error": "This form has expired. Go back, reload the page and try again.",
            "status": 400,
            "expired": True,
        },
    )
    fresh = anna.get("/api/form").json
    assert fresh
    assert fresh["account"] == anna.id
    answer = anna.client.post("/upload", headers={**json, "X-CSRFToken": fresh["token"]})
    assert answer.json == {"error": "Choose at least one photo first.", "status": 400, "files": []}
    assert Person(app).get("/api/form").status_code == 401


@pytest.mark.parametrize("path", ["/login", "/register"])
def test_an_expired_form_of_a_visitor_is_shown_again_with_what_was_typed(app: Flask, path: str) -> None:
    visitor = Person(app)
    old = visitor.token(path)
    visitor.client.delete_cookie(cookies.FORM)
    fields = {"email": "bert@example.org", "password": PASSWORD, "next": "/account", "csrf_token": old}
    answer = visitor.client.post(path, data=fields)
    assert (answer.status_code, "your browser blocks cookies. Allow" in answer.text) == (400, True)
    answer = visitor.client.post(path, data=fields)  # the error page has set a new cookie
    assert (answer.status_code, "Please send it again." in answer.text) == (400, True)
    assert 'value="bert@example.org"' in answer.text
    assert PASSWORD not in answer.text
    assert visitor.get("/photos").status_code == 303


def test_a_visitor_keeps_one_cookie_for_all_forms(app: Flask) -> None:
    visitor = Person(app)
    assert "catloader_form=" in visitor.get("/login").headers["Set-Cookie"]
    for path in ("/login", "/register", "/"):
        assert "Set-Cookie" not in visitor.get(path).headers
    assert "Set-Cookie" not in Person(app).get("/").headers, "a page without a form set a cookie"


def test_log_out_in_a_second_tab_is_not_an_error(anna: Person) -> None:
    token = anna.token("/account")
    assert [anna.client.post("/logout", data={"csrf_token": token}).status_code for _ in range(2)] == [
        303,
        303,
    ]


SITE = "https://cats.example.org"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": SITE, "Sec-Fetch-Site": "same-origin", "Referer": f"{SITE}/login"}, 303),
        ({"Origin": SITE, "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": SITE}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 303),  # sent with Referrer-Policy: no-referrer
        ({"Origin": "null"}, 303),
        ({"Origin": f"{SITE}:8443"}, 303),
        ({"Origin": "http://cats.example.org"}, 303),
        ({"Referer": "https://search.example/"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 400),
        ({"Origin": "https://blog.example.org", "Sec-Fetch-Site": "same-site"}, 400),
        ({"Origin": "https://evil.example"}, 400),
        ({"Origin": "https://cats.example.org.evil.example"}, 400),
        ({"Origin": "https://["}, 400),
    ],
)
def test_forms_are_accepted_from_this_site_only(anna: Person, headers: dict[str, str], status: int) -> None:
    anna.log_out()
    client = anna.client
    client.set_cookie("__Host-catloader_form", "a-visitor", domain="cats.example.org", secure=True)
    page = client.get("/login", base_url=SITE).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = client.post("/login", data={**CREDENTIALS, "csrf_token": token}, headers=headers, base_url=SITE)
    assert answer.status_code == status
    if status == 400:
        assert "Sec-Fetch-Site: " in answer.text or "headers Origin and Host" in answer.text
        assert client.get("/photos", base_url=SITE).status_code == 303


def test_a_form_from_another_site_is_refused_even_with_a_valid_token(anna: Person) -> None:
    answer = anna.post("/logout", page="/account", Origin="https://evil.example")
    assert answer.status_code == 400
    assert "came from evil.example, and this site is called localhost" in answer.text
    assert anna.get("/photos").status_code == 200


@pytest.mark.parametrize("path", ["/login", "/register"])
@pytest.mark.parametrize(
    ("body", "status"), [(b"--x\r\nnothing", 400), (b"--x\r\n" + b"a" * 100_000, 413)], ids=["cut", "long"]
)
def test_unreadable_form_with_an_expired_token_is_refused(
    anna: Person, path: str, body: bytes, status: int
) -> None:
    anna.log_out()
    answer = anna.client.post(
        path, data=body, content_type="multipart/form-data; boundary=x", headers={forms.HEADER: "old.token"}
    )
    assert answer.status_code == status


def test_form_at_a_name_with_an_underscore_is_refused_with_the_reason(anna: Person) -> None:
    answer = anna.client.post(
        "/logout", data={"csrf_token": anna.token("/account")}, headers={"Host": "cat_site"}
    )
    assert answer.status_code == 400
    assert "letters, digits, dots and hyphens" in answer.text
