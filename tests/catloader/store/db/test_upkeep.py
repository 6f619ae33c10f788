"""The count of dead rows, on both databases."""

from __future__ import annotations

from sqlalchemy import Engine, text

from catloader.demo.client import until
from catloader.store.db.engine import writing
from catloader.store.db.upkeep import Upkeep
from tests.support.rows import add_photos


def test_dead_rows_are_counted(engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        assert Upkeep(engine).dead_rows() == {}
        return
    add_photos(engine, 300)
    with writing(engine) as connection:
        connection.execute(text("UPDATE images SET caption = 'another'"))
    for _ in until(60, "PostgreSQL counted no dead rows"):
        if Upkeep(engine).dead_rows()["images"] >= 300:
            break
