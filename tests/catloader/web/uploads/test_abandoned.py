"""Partial uploads that no client can continue are deleted."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import sessions
from tests.support.programs import token_of
from tests.support.site import PASSWORD, Person, jpeg, services_of
from tests.support.tus import Tus

_WAIT_S = 60
_PHOTO = jpeg(size=(400, 300))


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"sweep_s": 0.1}


def _log_out(person: Person) -> None:
    person.log_out()


def _log_out_everywhere(person: Person) -> None:
    person.post("/account/sessions/end", page="/account")


def _delete(person: Person) -> None:
    person.post("/account/delete", {"password": PASSWORD}, page="/account")


def _disable(person: Person) -> None:
    services_of(person.app).administration.disable(person.id, person.id, utcnow())


def _set_password_by_command(person: Person) -> None:
    services_of(person.app).users.reset_password(person.id, "a hash")


def _expire(person: Person) -> None:
    old = utcnow() - timedelta(days=366)
    with writing(services_of(person.app).engine) as connection:
        connection.execute(update(sessions).where(sessions.c.user_id == person.id).values(used_at=old))


_ENDS = [_log_out, _log_out_everywhere, _delete, _disable, _set_password_by_command, _expire]


def _begin(person: Person) -> Path:
    """Begin an upload; return the folder of its file."""
    folder = services_of(person.app).settings.data_dir / "partial-uploads" / str(person.id)
    assert Tus(person).begin(len(_PHOTO), _PHOTO[:-1]).status_code == 201
    assert [file.stat().st_size >= len(_PHOTO) - 1 for file in folder.iterdir()] == [True]
    return folder


def test_partial_uploads_are_deleted_when_no_session_or_token_can_continue_them(own_app: Flask) -> None:
    ended = [Person(own_app, f"{number}@example.org") for number in range(len(_ENDS))]
    here, elsewhere, with_token = (Person(own_app, f"{name}@example.org") for name in ("ann", "bob", "cy"))
    gone, kept = [_begin(one) for one in ended], [_begin(one) for one in (here, elsewhere, with_token)]
    token_of(own_app, with_token)
    other = Person(own_app)
    other.email = elsewhere.email
    assert other.log_in().status_code == 303
    for person in (elsewhere, with_token):
        person.log_out()
    for end, person in zip(_ENDS, ended, strict=True):
        end(person)
    services_of(own_app).deletion.start()
    waiting, end_s = threading.Event(), time.monotonic() + _WAIT_S
    while left := [end.__name__ for end, folder in zip(_ENDS, gone, strict=True) if folder.exists()]:
        assert time.monotonic() < end_s, left
        waiting.wait(0.05)
    assert [len(list(folder.iterdir())) for folder in kept] == [1, 1, 1]
