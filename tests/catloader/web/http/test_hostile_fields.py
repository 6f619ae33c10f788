"""Every address with fields, queries and names that browsers never send: refused or cleaned, never 500."""

from __future__ import annotations

import inspect
import io
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.catloader.web.route_rows import ROWS
from tests.support.site import PASSWORD, Person, jpeg, services_of

# PostgreSQL refuses more values than SQLite: NUL, lone surrogates, numbers that are too large for a column.
pytestmark = pytest.mark.parametrize("_migrated", ["postgresql"], indirect=True)

_VALUES = (
    b"a\x00b\r\nSet-Cookie: planted=1\r\n\r\n",
    b"\xff\xed\xa0\x80\xf4\x90\x80\x80",  # not UTF-8: a lone surrogate, and a character beyond U+10FFFF
    "\u202egpj.exe\u2066\ufeff\u0000\U0001f469\u200d\U0001f469 Z\u0337\u0489".encode(),
    b"99999999999999999999",
    "-\u0663".encode(),  # an Arabic digit, which forms do not accept as a number
)
_LARGE = b"x" * 1_000_000
_FIELD = re.compile(r"""(?:form|args|values|query)(?:\.get(?:list)?\(|\[)"(\w+)\"""")
_NAMES = (
    *("2147483648", "99999999999999999999", "-1", "%D9%A3", "1e3"),
    *("a%00b", "%FF%FE", "%0D%0ASet-Cookie:%20planted=1", "..%2F..%2Fetc", "x" * 3000),
)
_END_THE_SESSION = ("POST /logout",)
_BEGIN_A_SESSION = ("POST /register", "POST /login")


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    rates = dict.fromkeys(("password_rate", "mail_rate"), "100000 per minute")
    mail = {"smtp_host": "127.0.0.1", "smtp_sender": "site@example.org", "public_url": "http://localhost"}
    return {**rates, **mail}


@pytest.fixture
def administrator(app: Flask) -> Person:
    """An administrator, because they may open most pages, with a photo."""
    administrator = Person(app, "boss@example.org")
    services_of(app).users.grant(administrator.id, "admin")
    administrator.upload_one()
    return administrator


def _fields(app: Flask, endpoint: str) -> list[str]:
    """Return the names of all fields and queries that the module of a view reads."""
    module = inspect.getmodule(inspect.unwrap(app.view_functions[endpoint]))
    return sorted(set(_FIELD.findall(inspect.getsource(module)))) if module else []


def _addresses(app: Flask) -> dict[str, str]:
    """Return address -> endpoint for the rows of the table that this site serves."""
    rules = {re.sub(r"<int[^>]*:id>", "<id>", rule.rule): rule for rule in app.url_map.iter_rules()}
    paths = {address: address.partition(" ")[2] for address in ROWS}
    last = sorted(
        paths, key=lambda address: "password" in address
    )  # a real password hash takes 60 ms each time
    return {address: rules[paths[address]].endpoint for address in last if paths[address] in rules}


def _path(address: str, id: object) -> str:
    return re.sub(r"<(id|token|path:filename)>", str(id), address.partition(" ")[2])


def _sent(fields: dict[str, bytes]) -> bytes:
    return "&".join(f"{name}={quote_from_bytes(value)}" for name, value in fields.items()).encode()


def _token(person: Person) -> str:
    """Return the form token of a user; without a session there is none. No page takes less time to make."""
    return str((person.get("/api/form").json or {}).get("token", ""))


def _is_fault(answer: TestResponse) -> bool:
    answer.close()
    return answer.status_code >= 500 or "planted" in str(answer.headers.getlist("Set-Cookie"))


def test_hostile_fields_cause_no_server_error(app: Flask, administrator: Person) -> None:
    faults, photo = [], administrator.photos[0].id
    for address, endpoint in _addresses(app).items():
        if address in _END_THE_SESSION:
            continue
        row, method, path = ROWS[address], address.partition(" ")[0], _path(address, photo)
        usual = {name: str(value).encode() for name, value in row.form.items()}
        # A sign-up with a hostile password succeeds. It must not log out the administrator.
        is_visitor = address in _BEGIN_A_SESSION
        person = Person(app) if is_visitor else administrator
        headers = {"X-CSRFToken": person.token("/login") if is_visitor else _token(person)}
        for name in sorted({*_fields(app, endpoint), *usual}):
            for value in _VALUES:
                sent = _sent({**usual, name: value})
                target, data = (f"{path}?{sent.decode()}", None) if method == "GET" else (path, sent)
                kind = None if method == "GET" else "application/x-www-form-urlencoded"
                answer = person.client.open(
                    target, method=method, data=data, content_type=kind, headers=headers
                )
                if _is_fault(answer):
                    faults.append(f"{address} {name}={value!r}: {answer.status}")
        assert _token(administrator), f"{address} ended the administrator's session"
    assert not faults, "\n".join(faults)


def test_fields_of_a_megabyte_are_refused(app: Flask, administrator: Person) -> None:
    photo, headers = administrator.photos[0].id, {"X-CSRFToken": _token(administrator)}
    for address, row in ROWS.items():
        method, path = address.partition(" ")[0], _path(address, photo)
        if method != "POST" or address in _END_THE_SESSION:
            continue
        name = next(iter(row.form), "note")
        part = f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        for kind, data in (
            ("application/x-www-form-urlencoded", f"{name}=".encode() + _LARGE),
            ("multipart/form-data; boundary=B", part + _LARGE + b"\r\n--B--\r\n"),
        ):
            answer = administrator.client.post(path, data=data, content_type=kind, headers=headers)
            assert not _is_fault(answer), address
            assert answer.status_code in (400, 404, 413) or not row.form, (address, answer.status)


def test_hostile_names_in_addresses_are_not_found(app: Flask, administrator: Person) -> None:
    for address in ROWS:
        method = address.partition(" ")[0]
        for name in _NAMES if "<" in address else ():
            answer = administrator.client.open(_path(address, name), method=method)
            assert not _is_fault(answer), (address, name)
            assert answer.status_code in (303, 308, 400, 404, 405, 412), (address, name, answer.status)


def test_fields_that_a_form_does_not_have_change_nothing(app: Flask) -> None:
    roles = {"is_admin": "1", "is_reviewer": "1", "role": "admin", "id": "1", "user_id": "1"}
    quota = {"max_photos": "0", "max_bytes": "0", "photos": "", "megabytes": "0"}
    state = {
        "status": "cat",
        "human_verdict": "cat",
        "score": "1",
        "on_air": "1",
        "owner_id": "1",
        "public": "yes",
    }
    administrator, anna = Person(app, "boss@example.org"), Person(app)
    anna.email = "anna@example.org"
    anna.post("/register", {"email": anna.email, "password": PASSWORD, **roles, **quota})
    account = services_of(app).users.by_id(anna.id)
    assert account
    anna.post("/account/display", {"language": "de", **roles, **quota}, page="/account")
    assert services_of(app).users.by_id(anna.id) == replace(account, language="de")
    photo = {"photos": [(io.BytesIO(jpeg()), "a.jpg")]}
    assert anna.post("/upload", {**state, **roles, **photo}).status_code == 303
    (before,) = anna.photos
    assert (before.status, before.on_air, before.human_verdict, before.score) == (
        "pending",
        False,
        None,
        None,
    )
    page = f"/photos/{before.id}"
    anna.post(f"{page}/caption", {"caption": "Tom", **state, **roles}, page=page)
    (after,) = anna.photos
    assert after == replace(before, caption="Tom", caption_folded="tom")
    assert not administrator.photos
