"""The page of API tokens."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from catloader.errors import InvalidInput
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.engine import reading, utcnow
from tests.support.databases import ON_SQLITE
from tests.support.programs import Program
from tests.support.rows import some_user
from tests.support.site import PASSWORD, Person, services_of

PAGE = "/account/tokens"
FORM = {"name": "camera", "scope": ["photos:read", "check"], "days": "30", "password": PASSWORD}


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"max_api_tokens": 2}


def _secret(page: str) -> str:
    secret = re.search(r'<code class="secret">([^<]+)</code>', page)
    assert secret, page
    return secret[1]


def test_a_token_is_shown_once_and_stored_as_a_digest(app: Flask, anna: Person, engine: Engine) -> None:
    made = anna.post(PAGE, FORM)
    assert made.status_code == 201
    token = _secret(made.text)
    assert Program(app, token).get("/api/v1/photos").status_code == 200
    listed = anna.get(PAGE).text
    assert "camera" in listed
    assert "It may: see your photos and their verdicts; check photos without storing them." in listed
    german = anna.get("/account/tokens", **{"Accept-Language": "de"}).text
    assert "photos:read." not in german
    assert "deine Fotos und ihre" in german
    with reading(engine) as connection:
        rows = str(connection.execute(text("SELECT * FROM api_tokens")).all())
    for secret in (token, *token.removeprefix("catloader_").split(".")):
        assert secret not in listed
        assert secret not in rows
    assert services_of(app).audit_log.page(None, 1) == [], "the log is for acts of staff"


def test_a_revoked_token_is_refused(app: Flask, anna: Person) -> None:
    token = _secret(anna.post(PAGE, FORM).text)
    (row,) = services_of(app).api_tokens.of_user(anna.id)
    stranger = Person(app, "bo@example.org")
    assert stranger.post(f"{PAGE}/{row.id}/revoke", page=PAGE).status_code == 404
    assert Program(app, token).get("/api/v1/photos").status_code == 200
    assert anna.post(f"{PAGE}/{row.id}/revoke", page=PAGE).status_code == 303
    assert Program(app, token).get("/api/v1/photos").status_code == 401
    assert anna.post(PAGE, FORM).status_code == 201
    assert anna.post(f"{PAGE}/{row.id}/revoke", page=PAGE).status_code == 404, (
        "a revoked token was revoked again"
    )


@ON_SQLITE
@pytest.mark.parametrize(
    ("changed", "status", "sentence"),
    [
        ({"password": "wrong"}, 403, "The password is wrong."),
        ({"name": " "}, 400, "Give the token a name"),
        ({"name": "\u3164"}, 400, "Give the token a name"),
        ({"name": "x" * 61}, 400, "Give the token a name"),
        ({"scope": []}, 400, "Choose at least one thing"),
        ({"scope": ["admin"]}, 400, "Choose at least one thing"),
        ({"days": "9999"}, 400, "Choose how long"),
    ],
)
def test_a_wrong_form_is_refused_in_one_sentence(
    app: Flask, anna: Person, changed: dict[str, object], status: int, sentence: str
) -> None:
    refused = anna.post(PAGE, {**FORM, **changed})
    assert refused.status_code == status
    assert sentence in refused.text
    assert services_of(app).api_tokens.of_user(anna.id) == []


@ON_SQLITE
def test_an_account_has_a_limited_number_of_tokens(app: Flask, anna: Person) -> None:
    for _ in range(2):
        assert anna.post(PAGE, FORM).status_code == 201
    refused = anna.post(PAGE, FORM)
    assert (refused.status_code, "up to 2 tokens" in refused.text) == (400, True)


@ON_SQLITE
def test_a_token_needs_a_form_of_this_site(app: Flask, anna: Person) -> None:
    assert anna.client.post(PAGE, data=FORM).status_code == 400
    assert services_of(app).api_tokens.of_user(anna.id) == []


def test_expired_tokens_do_not_count_at_the_limit(engine: Engine) -> None:
    store, user, now = ApiTokens(engine, most=1), some_user(engine), utcnow()
    day = timedelta(days=1)
    store.add("first", user.id, "camera", ["check"], now=now, expires_at=now + day)
    with pytest.raises(InvalidInput):
        store.add("second", user.id, "camera", ["check"], now=now, expires_at=None)
    store.add("second", user.id, "camera", ["check"], now=now + day, expires_at=None)


@ON_SQLITE
def test_a_form_that_is_refused_keeps_the_choices(app: Flask, anna: Person) -> None:
    refused = anna.post(PAGE, {**FORM, "days": "365", "password": "wrong"}).text
    assert '<option value="365" selected>' in refused
    assert re.findall(r'name="scope" value="([^"]+)" checked', refused) == FORM["scope"]
    assert 'value="camera"' in refused
    (focused,) = [tag for tag in re.findall("<input[^>]*>", refused) if " autofocus" in tag]
    assert 'name="password"' in focused
