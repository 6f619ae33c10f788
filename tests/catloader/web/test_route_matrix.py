"""Every combination of address, method and role, compared with the table in ``route_rows``."""

from __future__ import annotations

import re
import secrets
from functools import cache
from typing import Any, NamedTuple

import pytest
from flask import Flask
from sqlalchemy import Engine, select
from werkzeug.test import TestResponse

from catloader.accounts.api_tokens import Scope
from catloader.demo.client import free_port
from catloader.store.db.engine import reading, utcnow
from catloader.store.db.schema import metadata
from catloader.web.http import cookies
from catloader.web.http.request_log import HEADER
from checker.values import Verdict
from tests.catloader.web.route_rows import API_ROWS, LOGIN, ROWS, Answer, ApiRow, Row
from tests.support.databases import ON_SQLITE
from tests.support.programs import Program, token_of
from tests.support.site import Person, check, jpeg, services_of

_NUMBER = re.compile(r"<int([(][^)]*[)])?:id>")
_NO_PHOTO = 2_000_000_000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAME_FOR_ALL = ("/static/", "/upload/share-worker.js", "/site.webmanifest", "/openapi.json")
_ENDS_SESSIONS = ("POST /logout", "POST /register", "POST /login")


class People(NamedTuple):
    """One user for each role, in the order of the columns; the owner is last and may delete the photo."""

    visitor: Person
    other: Person
    owner: Person
    reviewer: Person
    admin: Person
    disabled: Person


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    mail = {
        "smtp_host": "127.0.0.1",
        "smtp_sender": "site@example.org",
        "public_url": "http://localhost",
        "mail_rate": "1000 per minute",
    }
    return {
        "dispatch": "internal",
        "port": free_port(),
        "metrics_token": "a secret",
        "get_wake_ups": "on",
        "bin_days": 30,
        **mail,
    }


@ON_SQLITE
def test_every_address_has_a_row(app: Flask) -> None:
    assert set(_addresses(app)) == set(ROWS) | set(API_ROWS)


@ON_SQLITE
def test_every_role_gets_the_response_of_the_table(app: Flask) -> None:
    faults = []
    people = _people(app, "first")
    for number, (address, row) in enumerate(ROWS.items()):
        target = _target(app, people.owner, row.photo) if "<" in address else ""
        for role in ("visitor", "disabled", "other", "reviewer", "admin", "owner"):
            person = getattr(people, role)
            expected = getattr(row, "visitor" if role == "disabled" else role)
            answer = _ask(person, address, target, row)
            faults += [f"{address} as {role}: {fault}" for fault in _header_faults(address, answer)]
            if _seen(answer) != expected:
                faults.append(f"{address} as {role}: {_seen(answer)} instead of {expected}")
            elif expected == 404 and "<id>" in address and not _is_like_none(person, address, answer, row):
                faults.append(f"{address} as {role}: another answer than for a number that does not exist")
        if address in _ENDS_SESSIONS:
            people = _people(app, f"after-{number}")
    assert not faults, "\n".join(faults)


@ON_SQLITE
def test_every_program_gets_the_response_of_the_table(app: Flask) -> None:
    faults = []
    people = _people(app, "first")
    owner, other = people.owner, people.other
    scopes = {address: _scope(app, address) for address in API_ROWS}
    for address, row in API_ROWS.items():
        target = _target(app, owner, row.photo)
        wrong = next(scope for scope in Scope if scope != scopes[address])
        programs = {
            "nothing": Program(app),
            "without_scope": Program(app, token_of(app, owner, wrong, name=address)),
            "other": Program(app, token_of(app, other, name=address)),
            "owner": Program(app, token_of(app, owner, name=address)),
        }
        answers = {"cookie": owner.client.open(_path(address, target), method=address.partition(" ")[0])}
        for role, program in programs.items():
            answers[role] = _send(program, address, target, row)
            if role == "other" and row.other == 404:
                none = _send(program, address, str(_NO_PHOTO), row)
                if (none.data, none.status_code) != (answers[role].data, 404):
                    faults.append(f"{address}: another answer than for a number that does not exist")
        for role, answer in answers.items():
            faults += [f"{address} as {role}: {fault}" for fault in _header_faults(address, answer)]
            if answer.status_code != getattr(row, role):
                faults.append(f"{address} as {role}: {answer.status_code} instead of {getattr(row, role)}")
        for account in (owner, other):
            for token in services_of(app).api_tokens.of_user(account.id):
                services_of(app).api_tokens.revoke(token.id, account.id)
    assert not faults, "\n".join(faults)


def test_reading_changes_no_row(app: Flask, engine: Engine) -> None:
    people = _people(app, "reading")
    reads = {address: row for address, row in ROWS.items() if address.startswith("GET ")}
    targets = {state: _target(app, people.owner, state) for state in {row.photo for row in reads.values()}}
    roles = ("visitor", "other", "owner", "reviewer", "admin")
    token = token_of(app, people.owner)
    # The times of last use of sessions and tokens are written every five minutes, so they may change.
    for role in roles:
        getattr(people, role).get("/photos")
    Program(app, token).get("/api/v1/photos")
    before, faults = _rows(engine), []
    for address, row in reads.items():
        for role in roles:
            answer = _ask(getattr(people, role), address, targets[row.photo], row)
            if _seen(answer) != getattr(row, role):
                faults.append(f"{address} as {role}: {_seen(answer)} instead of {getattr(row, role)}")
    for address, api_row in API_ROWS.items():
        if address.startswith("GET "):
            answer = _send(Program(app, token), address, targets["cat"], api_row)
            if answer.status_code != api_row.owner:
                faults.append(f"{address}: {answer.status_code} instead of {api_row.owner}")
    assert not faults, "\n".join(faults)
    assert _rows(engine) == before


def _rows(engine: Engine) -> dict[str, list[Any]]:
    with reading(engine) as connection:
        return {
            name: sorted(map(repr, connection.execute(select(table))))
            for name, table in metadata.tables.items()
        }


def _header_faults(address: str, answer: TestResponse) -> list[str]:
    """Return the missing security headers of a response, and a fault if a shared cache may store it."""
    faults = [name for name, value in _HEADERS.items() if answer.headers.get(name) != value]
    policy = answer.headers.get("Content-Security-Policy", "")
    begins = "default-src 'none'; " if answer.mimetype == "image/jpeg" else "default-src 'self'; "
    if not policy.startswith(begins) or "frame-ancestors 'none'" not in policy or "unsafe" in policy:
        faults.append(f"policy {policy}")
    if answer.mimetype == "image/jpeg" and not policy.endswith("; sandbox"):
        faults.append(f"policy of a photo {policy}")
    kept = answer.headers.get("Cache-Control", "")
    if not any(part in address for part in _SAME_FOR_ALL) and not re.search("no-store|private", kept):
        faults.append(f"Cache-Control {kept}")
    if answer.mimetype == "text/html" and "no-store" not in kept:
        faults.append(f"Cache-Control of a page {kept}")
    return faults


def _scope(app: Flask, address: str) -> Scope:
    """Return the scope that the view of an address demands."""
    endpoint = _addresses(app)[address]
    scope: Scope = app.view_functions[endpoint].scope  # type: ignore[union-attr]
    return scope


def _addresses(app: Flask) -> dict[str, str]:
    """Return ``METHOD /path/<id>`` -> endpoint."""
    return {
        f"{method} {_NUMBER.sub('<id>', rule.rule)}": rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _people(app: Flask, prefix: str) -> People:
    names = ("other", "owner", "reviewer", "admin", "disabled")
    other, owner, reviewer, admin, disabled = (Person(app, f"{prefix}-{name}@example.org") for name in names)
    services_of(app).users.grant(reviewer.id, "reviewer")
    services_of(app).users.grant(admin.id, "admin")
    services_of(app).administration.disable(disabled.id, admin.id, utcnow())
    return People(Person(app), other, owner, reviewer, admin, disabled)


def _target(app: Flask, owner: Person, state: str) -> str:
    """Return the value in the address for ``<id>`` or ``<token>``."""
    services = services_of(app)
    if state == "token":
        token_of(app, owner, "check")
        return str(services.api_tokens.of_user(owner.id)[-1].id)
    if state == "passkey":
        services.passkeys.add(owner.id, secrets.token_urlsafe(9), b"key", 0, name="Phone", now=utcnow())
        return str(services.passkeys.of_user(owner.id)[-1].id)
    if state == "account":
        return str(owner.id)
    photo = owner.upload_one()
    while check(app, Verdict.UNSURE if state == "unsure" else Verdict.CAT) != photo:
        pass  # check photos that earlier rows have left
    if state == "bin":
        assert services.bin.put([photo], owner.id)
    elif state in ("album", "taken down"):
        assert services.album.publish([photo], owner.id, public=True)
        if state == "taken down":
            assert services.takedowns.take_down(photo, owner.id, "No.", utcnow())
    elif state == "appealed":
        assert services.reviews.appeal(photo, owner.id, "not_cat", "", utcnow())
    elif state == "shared":
        return services.share_links.make(photo, owner.id, utcnow()) or ""
    return str(photo)


def _path(address: str, target: str) -> str:
    path = re.sub(r"<(id|token)>", target, address.partition(" ")[2])
    return path.replace("<path:filename>", "site.css")


def _ask(person: Person, address: str, target: str, row: Row) -> TestResponse:
    method, path = address.partition(" ")[0], _path(address, target)
    has_session = person.email and "-disabled@" not in person.email
    page = "/account" if has_session else "/login"
    if person.client.get_cookie(cookies.NOTES):
        person.get(page)  # shows the message of the previous row, so that it is not on the page of this row
    if method == "GET":
        answer = person.get(path)
    else:
        fields = {"csrf_token": _token(person, page), **dict(row.form)}
        answer = person.client.open(path, method=method, data=fields)
    answer.close()
    return answer


@cache
def _token(person: Person, page: str) -> str:
    """Return a form token; it is valid for the whole session, so each person gets a page only once."""
    return person.token(page)


def _seen(answer: TestResponse) -> Answer:
    is_login = answer.status_code == 303 and re.match(r"/login(\?|$)", answer.headers["Location"])
    return LOGIN if is_login else answer.status_code


def _is_like_none(person: Person, address: str, answer: TestResponse, row: Row) -> bool:
    none = _ask(person, address, str(_NO_PHOTO), row)
    return (none.status_code, _text(none)) == (answer.status_code, _text(answer))


def _text(answer: TestResponse) -> str:
    """Return the page without the request id, which is always different."""
    return answer.text.replace(answer.headers[HEADER], "")


def _send(program: Program, address: str, target: str, row: ApiRow) -> TestResponse:
    method, path = address.partition(" ")[0], _path(address, target)
    if method != "POST":
        return program.send(method, path)
    if row.body:
        return program.send(method, path, json=dict(row.body))
    return program.send(method, path, {"Content-Type": "image/jpeg"}, data=jpeg())
