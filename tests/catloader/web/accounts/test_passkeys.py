"""Passkeys, with an authenticator that can lie. tests/browser/test_api_tokens.py uses Chromium's."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from werkzeug.test import TestResponse

from catloader.store.db.engine import utcnow
from tests.support.accounts_site import accounts_site
from tests.support.signed import aged
from tests.support.site import PASSWORD, Person, services_of

_PAGE, _LOG_IN = "/account/passkeys", "/login/passkey"


@pytest.fixture
def app(accounts_app: Flask) -> Flask:
    return accounts_app


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Device:
    """An authenticator with one key. Its attributes can make its responses invalid."""

    def __init__(self) -> None:
        self._id, self._key, self.count = secrets.token_bytes(16), ec.generate_private_key(ec.SECP256R1()), 0
        self.origin, self.host, self.verified, self.counts = "http://localhost", "localhost", True, True

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _authenticator_data(self, extra: bytes = b"") -> bytes:
        self.count += self.counts
        flags = 0x01 | (0x04 if self.verified else 0) | (0x40 if extra else 0)
        host = hashlib.sha256(self.host.encode()).digest()
        return host + bytes([flags]) + self.count.to_bytes(4) + extra

    def _answer(self, **response: bytes) -> str:
        texts = {name: _text(data) for name, data in response.items()}
        id = _text(self._id)
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": texts})

    def made(self, challenge: str, key: bytes = b"") -> str:
        """Make a passkey; ``key`` replaces the public key, in CBOR."""
        numbers = self._key.public_key().public_numbers()
        own = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        key = key or cbor2.dumps(own)
        extra = bytes(16) + len(self._id).to_bytes(2) + self._id + key
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._authenticator_data(extra)}
        data = self._client_data("webauthn.create", challenge)
        return self._answer(attestationObject=cbor2.dumps(attestation), clientDataJSON=data)

    def used(self, challenge: str) -> str:
        data, known = self._client_data("webauthn.get", challenge), self._authenticator_data()
        signed = self._key.sign(known + hashlib.sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(authenticatorData=known, clientDataJSON=data, signature=signed)


def _options(person: Person, path: str, page: str, **fields: str) -> dict[str, Any]:
    answer = person.post(f"{path}/options", fields, page=page)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json or {}
    return begun


def register_device(person: Person, device: Device) -> TestResponse:
    begun = _options(person, _PAGE, _PAGE, password=PASSWORD)
    fields = {"challenge": begun["challenge"], "name": "Phone"}
    fields["credential"] = device.made(begun["options"]["challenge"])
    return person.post(_PAGE, fields)


def _begin(app: Flask) -> tuple[Person, dict[str, Any]]:
    visitor = Person(app)
    return visitor, _options(visitor, _LOG_IN, "/login")


def _log_in(app: Flask, device: Device) -> tuple[int, bool]:
    """Return the status of the response and whether the browser has a session afterwards."""
    visitor, begun = _begin(app)
    fields = {"challenge": begun["challenge"], "credential": device.used(begun["options"]["challenge"])}
    answer = visitor.post(_LOG_IN, fields, page="/login")
    return answer.status_code, visitor.get("/photos").status_code == 200


def test_a_passkey_logs_in_without_a_second_step(app: Flask, anna: Person) -> None:
    device = Device()
    assert anna.post(f"{_PAGE}/options", {"password": "wrong"}, page=_PAGE).status_code == 403
    assert register_device(anna, device).json == {"location": _PAGE}
    assert register_device(anna, device).status_code == 400, "the passkey was registered twice"
    services_of(app).second_factors.set_up(anna.id, "A" * 32, 0, ["0" * 64], utcnow())
    assert _log_in(app, device) == (200, True)
    assert "Last used" in anna.get(_PAGE).text
    services_of(app).administration.disable(anna.id, anna.id, utcnow())
    assert _log_in(app, device) == (403, False)


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "http://localhost.evil.example"},
        {"host": "evil.example"},
        {"verified": False},
        {"count": -1},
    ],
    ids=["origin", "host", "person", "copied-key"],
)
def test_an_invalid_answer_logs_nobody_in(app: Flask, anna: Person, lie: dict[str, Any]) -> None:
    device = Device()
    device.count = 5
    assert register_device(anna, device).status_code == 200
    for name, value in lie.items():
        setattr(device, name, value)
    assert _log_in(app, device) == (403, False)
    other = Device()
    for name, value in lie.items():
        setattr(other, name, value)
    assert register_device(anna, other).status_code == (200 if "count" in lie else 400)


def test_a_passkey_of_another_key_is_refused(app: Flask, anna: Person) -> None:
    device, thief = Device(), Device()
    register_device(anna, device)
    assert _log_in(app, thief) == (403, False)
    thief._id = device._id
    assert _log_in(app, thief) == (403, False)


def test_a_challenge_is_valid_once_and_for_its_purpose(app: Flask, anna: Person) -> None:
    device = Device()
    device.counts = False  # like passkeys that devices share; a counter would refuse the second use anyway
    register_device(anna, device)
    visitor, begun = _begin(app)
    fields = {"challenge": begun["challenge"], "credential": device.used(begun["options"]["challenge"])}
    assert visitor.post(_LOG_IN, fields, page="/login").status_code == 200
    thief = Person(app)
    assert thief.post(_LOG_IN, fields, page="/login").status_code == 403
    assert thief.get("/photos").status_code == 303
    registration = _options(anna, _PAGE, _PAGE, password=PASSWORD)
    fields = {"challenge": registration["challenge"]}
    fields["credential"] = device.used(registration["options"]["challenge"])
    assert thief.post(_LOG_IN, fields, page="/login").status_code == 403
    eve = Person(app, "eve@example.org")
    fields["credential"] = Device().made(registration["options"]["challenge"])
    assert eve.post(_PAGE, fields).status_code == 403, "the challenge of another account was accepted"


def test_a_removed_passkey_does_not_log_in_and_others_cannot_remove_it(app: Flask, anna: Person) -> None:
    device, eve = Device(), Person(app, "eve@example.org")
    register_device(anna, device)
    (passkey,) = services_of(app).passkeys.of_user(anna.id)
    path = f"{_PAGE}/{passkey.id}/remove"
    assert eve.post(path, page=_PAGE).status_code == 404
    assert _log_in(app, device) == (200, True)
    assert anna.post(path, page=_PAGE).status_code == 303
    assert _log_in(app, device) == (403, False)


def test_a_passkey_is_renamed_by_its_owner_only(app: Flask, anna: Person) -> None:
    device, eve = Device(), Person(app, "eve@example.org")
    register_device(anna, device)
    (passkey,) = services_of(app).passkeys.of_user(anna.id)
    path = f"{_PAGE}/{passkey.id}/name"
    assert eve.post(path, {"name": "Mine"}, page=_PAGE).status_code == 404
    assert anna.post(path, {"name": " \n\u200b\u3164"}, page=_PAGE).status_code == 400
    assert "<strong>Phone</strong>" in anna.get(_PAGE).text
    name = "  Blue\r\n<b>key</b>\x00 " + "x" * 99
    assert anna.post(path, {"name": name}, page=_PAGE).location == _PAGE
    assert f"<strong>Blue &lt;b&gt;key&lt;/b&gt; {'x' * 44}</strong>" in anna.get(_PAGE).text
    assert _log_in(app, device) == (200, True)


@pytest.mark.parametrize(
    "credential",
    [
        "[" * 10_000,
        '{"id": "\\ud800"}',
        '{"id": "\\u0000"}',
        '{"id": 1, "rawId": [], "response": []}',
        "null",
        "[]",
        "",
    ],
)
def test_broken_credentials_are_refused(app: Flask, anna: Person, credential: str) -> None:
    visitor, begun = _begin(app)
    fields = {"challenge": begun["challenge"], "credential": credential}
    assert visitor.post(_LOG_IN, fields, page="/login").status_code == 403
    registration = _options(anna, _PAGE, _PAGE, password=PASSWORD)
    fields = {"challenge": registration["challenge"], "credential": credential}
    assert anna.post(_PAGE, fields).status_code == 400


@pytest.mark.parametrize(
    "key", [[], "", b"", 1, None, True, {}, {1: 2}, {1: 2, 3: -7, -1: 1, -2: b"", -3: ""}], ids=repr
)
def test_public_keys_of_another_type_are_refused(anna: Person, key: object) -> None:
    registration = _options(anna, _PAGE, _PAGE, password=PASSWORD)
    made = Device().made(registration["options"]["challenge"], cbor2.dumps(key))
    fields = {"challenge": registration["challenge"], "credential": made}
    assert anna.post(_PAGE, fields).status_code == 400


def test_credentials_whose_parts_are_broken_are_refused(app: Flask, anna: Person) -> None:
    device = Device()
    registration = _options(anna, _PAGE, _PAGE, password=PASSWORD)
    data = device._client_data("webauthn.create", registration["options"]["challenge"])
    nested = device._answer(attestationObject=b"\x81" * 20_000, clientDataJSON=data)
    fields = {"challenge": registration["challenge"], "credential": nested}
    assert anna.post(_PAGE, fields).status_code == 400
    assert register_device(anna, device).status_code == 200
    broken: list[Any] = [
        [],
        "x",
        {"clientDataJSON": 1},
        {"clientDataJSON": "W1tb", "authenticatorData": "", "signature": ""},
    ]
    for response in broken:
        visitor, begun = _begin(app)
        known = json.loads(device.used(begun["options"]["challenge"])) | {"response": response}
        fields = {"challenge": begun["challenge"], "credential": json.dumps(known)}
        assert visitor.post(_LOG_IN, fields, page="/login").status_code == 403


def test_a_challenge_is_valid_for_five_minutes(app: Flask, anna: Person) -> None:
    device = Device()
    assert register_device(anna, device).status_code == 200
    for age_s, status in ((310, 403), (290, 200)):
        visitor, begun = _begin(app)
        fields = {"challenge": aged(app, "log-in with a passkey", begun["challenge"], age_s)}
        fields["credential"] = device.used(begun["options"]["challenge"])
        assert visitor.post(_LOG_IN, fields, page="/login").status_code == status


def test_only_one_of_two_uses_with_the_same_counter_is_accepted(app: Flask, anna: Person) -> None:
    """A copied key responds at the same moment, and both responses are compared with the same counter."""
    store = services_of(app).passkeys
    store.add(anna.id, "credential", b"key", 7, name="Phone", now=utcnow())
    found = store.find("credential")
    assert found
    assert [store.use(found[0], count, utcnow()) for count in (8, 9)] == [True, False]


@pytest.mark.parametrize(
    ("public_url", "host", "origin"),
    [
        ("", "xn--bcher-kva.example", "http://xn--bcher-kva.example"),
        ("", "xn--bcher-kva.example:8000", "http://xn--bcher-kva.example:8000"),
        ("https://b\u00fccher.example/cats", "b", "https://xn--bcher-kva.example"),
        ("https://Cats.Example.org:443", "b", "https://cats.example.org"),
        ("https://cats.example.org:8443", "b", "https://cats.example.org:8443"),
    ],
)
def test_host_and_origin_have_the_form_of_browsers(
    tmp_path: Path, public_url: str, host: str, origin: str
) -> None:
    with accounts_site(tmp_path, public_url=public_url, trusted_proxies=1) as app:
        anna, device = Person(app, "anna@example.org", HTTP_X_FORWARDED_HOST=host), Device()
        device.origin, device.host = origin, urlsplit(origin).hostname or ""
        begun = _options(anna, _PAGE, _PAGE, password=PASSWORD)
        assert begun["options"]["rp"]["id"] == device.host
        assert register_device(anna, device).json == {"location": _PAGE}


def test_log_ins_with_passkeys_are_limited_for_each_network(tmp_path: Path) -> None:
    with accounts_site(tmp_path, login_rate="3 per hour") as app:
        visitor = Person(app)
        wrong = {"challenge": "x", "credential": "{}"}
        answers = [visitor.post(_LOG_IN, wrong, page="/login").status_code for _ in range(4)]
    assert answers == [403, 403, 403, 429]
