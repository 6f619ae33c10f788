"""API tokens: which requests they allow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from catloader.store.db.engine import utcnow
from tests.support.locked_writes import locked_for
from tests.support.programs import Program, assert_problem, token_of
from tests.support.site import PASSWORD, Person, services_of


def test_a_session_cookie_gives_no_access_to_the_api(app: Flask, anna: Person) -> None:
    answer = anna.get("/api/v1/photos")
    assert "API token" in assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="CatLoader"'
    answer = anna.client.post("/api/v1/photos", data=b"x", headers={"X-CSRFToken": anna.token("/account")})
    assert_problem(answer, 401)


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        ("photos:read", ("GET", "/api/v1/photos"), ("POST", "/api/v1/photos")),
        ("photos:write", ("DELETE", "/api/v1/photos/9"), ("GET", "/api/v1/photos")),
        ("check", ("POST", "/api/v1/check"), ("DELETE", "/api/v1/photos/9")),
    ],
)
def test_a_token_allows_only_what_its_scopes_name(
    app: Flask, anna: Person, scope: str, allowed: tuple[str, str], refused: tuple[str, str]
) -> None:
    program = Program(app, token_of(app, anna, scope))
    assert program.send(*allowed).status_code not in (401, 403)
    answer = program.send(*refused)
    assert "scope" in assert_problem(answer, 403)
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_wrong_tokens_are_counted_and_right_ones_still_work(app: Flask, anna: Person) -> None:
    right = token_of(app, anna)
    stranger = Program(app, right[:-1] + ("0" if right[-1] != "0" else "1"))
    for _ in range(3):
        answer = stranger.get("/api/v1/photos")
        assert_problem(answer, 401)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    answer = stranger.get("/api/v1/photos")
    assert "Too many attempts" in assert_problem(answer, 429)
    assert int(answer.headers["Retry-After"]) > 0
    assert Program(app, right).get("/api/v1/photos").status_code == 200


def test_a_token_ends_when_it_is_revoked_and_when_it_expires(app: Flask, anna: Person) -> None:
    store = services_of(app).api_tokens
    program = Program(app, token_of(app, anna))
    assert program.get("/api/v1/photos").status_code == 200
    (token,) = store.of_user(anna.id)
    assert store.revoke(token.id, anna.id)
    assert_problem(program.get("/api/v1/photos"), 401)
    short = token_of(app, anna, days=1)
    assert store.find(short, utcnow()) is not None
    assert store.find(short, utcnow() + timedelta(days=1)) is None


def test_a_token_ends_with_its_account(app: Flask, anna: Person) -> None:
    program = Program(app, token_of(app, anna))
    assert program.get("/api/v1/photos").status_code == 200
    assert (
        anna.post("/account/delete", {"password": PASSWORD}, page="/account").status_code == 200
    )  # the response is the receipt
    assert_problem(program.get("/api/v1/photos"), 401)


def test_a_token_is_suspended_while_its_account_is_disabled(app: Flask, anna: Person) -> None:
    program, administration = Program(app, token_of(app, anna)), services_of(app).administration
    administrator = Person(app, "boss@example.org")
    administration.disable(anna.id, administrator.id, utcnow())
    assert_problem(program.get("/api/v1/photos"), 401)
    administration.enable(anna.id, administrator.id, utcnow())
    assert program.get("/api/v1/photos").status_code == 200


def test_the_last_use_is_recorded(app: Flask, anna: Person) -> None:
    token = token_of(app, anna)
    (before,) = services_of(app).api_tokens.of_user(anna.id)
    assert before.used_at is None
    Program(app, token).get("/api/v1/photos")
    (after,) = services_of(app).api_tokens.of_user(anna.id)
    assert after.used_at is not None


def test_a_request_is_served_although_the_use_of_its_token_cannot_be_recorded(
    app: Flask, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(app, token_of(app, anna))
    with locked_for(services_of(app).engine, "UPDATE api_tokens") as refused:
        assert program.get("/api/v1/photos").status_code == 200
    assert refused
    assert "the use of a token was not recorded" in caplog.text
