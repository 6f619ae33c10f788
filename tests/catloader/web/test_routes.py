"""Addresses to which no page links give plain errors."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.support.databases import ON_SQLITE
from tests.support.programs import Program, token_of
from tests.support.site import Person, jpeg

pytestmark = ON_SQLITE


@pytest.mark.parametrize(
    "number", ["0", "2147483648", "9223372036854775807", "9223372036854775808", "-1", "٣"]
)
def test_numbers_without_a_photo_are_not_found(app: Flask, number: str) -> None:
    anna = Person(app, "anna@example.org")
    assert anna.get(f"/photos/{number}").status_code == 404
    program = Program(app, token_of(app, anna))
    for method in ("GET", "DELETE"):
        assert program.send(method, f"/api/v1/photos/{number}").status_code == 404, method


def test_a_number_that_python_refuses_to_parse_is_not_a_server_error(app: Flask) -> None:
    for path in ("/photos/", "/api/v1/photos/"):
        assert Person(app).get(path + "9" * 5000).status_code == 404


def test_forms_without_a_boundary_are_refused(app: Flask) -> None:
    program = Program(app, token_of(app, Person(app, "anna@example.org")))
    photo = program.upload().headers["Location"]
    for path in ("/api/v1/photos", f"{photo}/appeal"):
        answer = program.send("POST", path, {"Content-Type": "multipart/form-data"}, data=jpeg())
        assert answer.status_code in (400, 415), answer.text
