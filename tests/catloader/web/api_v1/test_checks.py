"""``POST /api/v1/check`` when no check is possible; ``tests/catloader/test_client.py`` tests its results."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.programs import Program, assert_problem, token_of
from tests.support.site import Person, jpeg, running_site, services_of

_JPEG = {"Content-Type": "image/jpeg"}


def _check(program: Program) -> tuple[str, str | None]:
    answer = program.send("POST", "/api/v1/check", _JPEG, data=jpeg())
    return assert_problem(answer, answer.status_code), answer.headers.get("Retry-After")


def test_a_site_whose_checker_is_elsewhere_says_so(program: Program) -> None:
    detail, retry_after = _check(program)
    assert "other processes" in detail
    assert retry_after is None
    assert program.send("POST", "/api/v1/check", _JPEG, data=jpeg()).status_code == 501


def test_while_the_model_is_loading_a_program_gets_retry_after(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(
        engine, s3_server, objects, tmp_path, dispatch="thread"
    ) as app:  # the checker is never started
        program = Program(app, token_of(app, Person(app, "anna@example.org")))
        detail, retry_after = _check(program)
        assert "being loaded" in detail
        assert retry_after == "5"


@pytest.mark.parametrize("path", ["/api/v1/check", "/api/v1/photos"])
def test_a_full_queue_is_503_with_retry_after(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path, path: str
) -> None:
    settings = {"dispatch": "thread", "decode_slots": 1, "decode_queue": 0}
    with running_site(engine, s3_server, objects, tmp_path, **settings) as app:
        program = Program(app, token_of(app, Person(app, "anna@example.org")))
        with services_of(app).decoders.prepare.places.taken(-1):
            answer = program.send("POST", path, _JPEG, data=jpeg())
            assert "Many photos" in assert_problem(answer, 503)
            assert answer.headers["Retry-After"] == "5"


def test_a_large_body_with_an_invented_token_is_not_buffered(app: Flask, program: Program) -> None:
    rules = app.extensions["catloader.rules"]
    path, length = "/api/v1/photos", services_of(app).settings.max_file_bytes
    good = program.header
    assert rules.body_bytes("POST", path, {"AUTHORIZATION": good}) > length
    for header in ("", "Bearer", "Bearer x", good[:-1], good.replace("Bearer", "Basic")):
        assert rules.body_bytes("POST", path, {"AUTHORIZATION": header}) < length
    assert rules.body_bytes("POST", "/api/v1/photos/1/appeal", {"AUTHORIZATION": good}) < length
