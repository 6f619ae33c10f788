"""Forms that cannot be parsed are refused with a reason and never treated as empty."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.support.databases import ON_SQLITE
from tests.support.site import Person, jpeg

pytestmark = ON_SQLITE


def _body(name: bytes, end: bytes = b"--frontier--\r\n") -> bytes:
    head = b'--frontier\r\nContent-Disposition: form-data; name="photos"; filename="' + name + b'"\r\n'
    return head + b"Content-Type: image/jpeg\r\n\r\n" + jpeg() + b"\r\n" + end


def _field(name: bytes, content: bytes) -> bytes:
    head = b'--frontier\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n'
    return head + content + b"\r\n--frontier--\r\n"


def _caption(text: bytes) -> bytes:
    return _body(b"a.jpg", end=_field(b"caption", text))


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (_body("caf\u00e9.jpg".encode()), 201, ""),
        (_body(b"caf\xe9.jpg"), 400, "name of a file or a field is not written in UTF-8"),
        (_body(b"\x83l\x83R.jpg"), 400, "name of a file or a field is not written in UTF-8"),
        (_body(b"cut.jpg", end=b""), 400, "damaged or cut off"),
        (_body(b"a.jpg").replace(b"name=", b"name ="), 400, "damaged or cut off"),
        (b"no parts at all", 400, "damaged or cut off"),
        (_caption("ein kr\u00e4ftiger Kater".encode()), 201, ""),
        (_caption(b"ein kr\xe4ftiger Kater"), 400, "name of a file or a field is not written in UTF-8"),
        (_field(b"photos", jpeg()), 400, "Photos are accepted only as files of a form"),
    ],
)
def test_the_sentence_says_what_is_wrong_with_a_form(app: Flask, body: bytes, status: int, says: str) -> None:
    anna = Person(app, "anna@example.org")
    answer = anna.client.post(
        "/upload",
        data=body,
        content_type="multipart/form-data; boundary=frontier",
        headers={"X-CSRFToken": anna.token("/upload"), "Accept": "application/json"},
    )
    assert answer.status_code == status
    assert says in answer.text
    assert "at least one photo" not in answer.text


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json", ""])
def test_body_that_is_not_a_form_is_not_treated_as_an_empty_one(app: Flask, content_type: str) -> None:
    anna = Person(app, "anna@example.org")
    answer = anna.client.post(
        "/upload",
        data=jpeg(),
        content_type=content_type,
        headers={"X-CSRFToken": anna.token("/upload"), "Accept": "application/json"},
    )
    assert answer.status_code == 415
    assert "multipart/form-data" in answer.text
