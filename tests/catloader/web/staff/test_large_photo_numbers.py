"""A photo whose number has more than 31 bits goes through all pages and the API like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text, update

from catloader.store.db.engine import make_engine, writing
from catloader.store.db.migrate import migrate
from catloader.store.db.schema import photos
from checker.values import Verdict
from tests.support.databases import empty_database
from tests.support.programs import Program, token_of
from tests.support.site import Person, check, jpeg

_NUMBER = 2**40 + 5


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"bin_days": 30}


@pytest.fixture
def engine(engine: Engine, tmp_path: Path) -> Iterator[Engine]:
    """A database of its own: photos of later tests would have large numbers, too."""
    with empty_database(engine, tmp_path) as url:
        own = make_engine(url)
        migrate(own)
        yield own
        own.dispose()


@pytest.fixture
def app(own_app: Flask) -> Flask:
    return own_app


@pytest.fixture
def photo(anna: Person, engine: Engine) -> int:
    """A photo of ``anna`` with a large number; PostgreSQL gives larger ones to all further photos."""
    small = anna.upload_one()
    with writing(engine) as connection:
        connection.execute(update(photos).where(photos.c.id == small).values(id=_NUMBER))
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT setval('images_id_seq', {_NUMBER})"))
    return _NUMBER


def test_owner_reviewer_and_visitors_use_the_photo(
    app: Flask, anna: Person, rita: Person, photo: int
) -> None:
    page = f"/photos/{photo}"
    assert check(app, Verdict.CAT) == photo
    for path in ("", "/photo.jpg", "/thumbnail.jpg", "/square"):
        assert anna.get(page + path).status_code == 200, path
    assert page in anna.get("/photos").text
    polled: Any = anna.get(f"/api/photos/status?ids={photo}").json
    assert [entry["id"] for entry in polled["photos"]] == [photo]

    assert anna.post(f"{page}/caption", {"caption": "Mia"}, page=page).status_code == 303
    assert anna.post(f"{page}/appeal", {"wish": "not_cat"}, page=page).status_code == 303
    assert rita.post(f"/review/{photo}/decide", {"verdict": "cat"}, page="/review").status_code == 303
    assert anna.post(f"{page}/publish", {"public": "yes"}, page=page).status_code == 303
    assert anna.post(f"{page}/share", page=page).status_code == 200
    assert rita.post(f"/album/{photo}/like", {"like": "yes"}, page=f"/album/{photo}").status_code == 303
    taken = rita.post(f"/review/{photo}/take-down", {"note": "why"}, page=f"/album/{photo}")
    assert taken.status_code == 303

    assert anna.post(f"{page}/delete", page=page).status_code == 303
    assert anna.get(f"/bin/{photo}/thumbnail.jpg").status_code == 200


def test_programs_use_the_photo(app: Flask, anna: Person, photo: int) -> None:
    program = Program(app, token_of(app, anna))
    answer = program.upload(jpeg(size=(90, 60)))
    assert answer.status_code == 202
    newest: Any = program.get("/api/v1/photos?limit=1").json
    older: Any = program.get(f"/api/v1/photos?limit=1&cursor={newest['next']}").json
    numbers = {entry["id"] for page in (newest, older) for entry in page["photos"]}
    assert photo in numbers and len(numbers) == 2
    shown: Any = program.get(f"/api/v1/photos/{photo}").json
    assert shown["id"] == photo
    assert program.send("DELETE", f"/api/v1/photos/{photo}").status_code == 204
