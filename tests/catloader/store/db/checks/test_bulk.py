"""The photos that plans of bulk work read from the table."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine, update

from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.engine import writing
from catloader.store.db.schema import photos
from tests.support.rows import add_photo, some_user

_NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_reviewed_photos_come_by_rising_id_with_their_verdicts_and_without_the_bin(engine: Engine) -> None:
    owner = some_user(engine).id
    ids = [add_photo(engine, owner) for _ in range(4)]
    reviewed = {ids[2]: "cat", ids[0]: "not_cat", ids[3]: "cat"}
    with writing(engine) as connection:
        for id, verdict in reviewed.items():
            values = {"human_verdict": verdict, "human_verdict_at": _NOW}
            connection.execute(update(photos).where(photos.c.id == id).values(values))
        connection.execute(update(photos).where(photos.c.id == ids[3]).values(binned_at=_NOW))
    rows = [(columns[0], verdict) for columns, verdict in BulkTable(engine).reviewed()]
    assert rows == [(ids[0], "not_cat"), (ids[2], "cat")]
